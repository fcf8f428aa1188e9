package main

import (
	"errors"
	"fmt"
	"time"

	"oci-timens/internal/probe"
)

// span is a closed interval of nanoseconds.
type span struct{ lo, hi int64 }

func (s span) minus(o span) span     { return span{s.lo - o.hi, s.hi - o.lo} }
func (s span) with(o span) span      { return span{min(s.lo, o.lo), max(s.hi, o.hi)} }
func (s span) overlaps(o span) bool  { return s.lo <= o.hi && o.lo <= s.hi }
func (s span) holds(v int64) bool    { return s.lo <= v && v <= s.hi }
func (s span) widened(by int64) span { return span{s.lo - by, s.hi + by} }
func (s span) String() string {
	return fmt.Sprintf("%v..%v", time.Duration(s.lo), time.Duration(s.hi))
}

// behindRealtime is how far a clock is behind CLOCK_REALTIME, which no namespace shifts.
func behindRealtime(s probe.Sample) span {
	return span{s.Realtime - s.VDSOAfter, s.Realtime - s.VDSO}
}

// tick is to what the kernel tells start times and uptimes.
const tick = int64(10 * time.Millisecond)

// judge compares what the probe has told with what was asked for.
func (c *container) judge(in probe.Report) error {
	c.s.seen()
	since := c.before
	if c.since != nil {
		since = *c.since
	}
	mono, err1 := c.asks.mono.judge("CLOCK_MONOTONIC", since.Monotonic, c.before.Monotonic, in.Monotonic, c.after.Monotonic)
	boot, err2 := c.asks.boot.judge("CLOCK_BOOTTIME", since.Boottime, c.before.Boottime, in.Boottime, c.after.Boottime)
	err := errors.Join(err1, err2)
	complain := func(format string, args ...any) { err = errors.Join(err, fmt.Errorf(format, args...)) }

	for name, v := range map[string][3]int64{
		"CLOCK_MONOTONIC_RAW":    {c.before.MonotonicRaw, in.MonotonicRaw, c.after.MonotonicRaw},
		"CLOCK_MONOTONIC_COARSE": {c.before.MonotonicCoarse, in.MonotonicCoarse, c.after.MonotonicCoarse},
	} {
		if !(span{v[0] + mono.lo, v[2] + mono.hi}).holds(v[1]) {
			complain("%s reads %d, and on the host %d before and %d after, with CLOCK_MONOTONIC ahead by %v", name, v[1], v[0], v[2], mono)
		}
	}
	read := span{in.Boottime.Raw, in.BoottimeAfter}
	if !read.widened(tick).holds(in.Uptime) {
		complain("/proc/uptime says %d, and CLOCK_BOOTTIME %v", in.Uptime, read)
	}
	if !(span{read.lo, read.hi + int64(time.Second)}).holds(in.Sysinfo) {
		complain("sysinfo says %d, and CLOCK_BOOTTIME %v", in.Sysinfo, read)
	}
	started := span{c.before.Boottime.VDSO + boot.lo, c.after.Boottime.VDSO + boot.hi}.widened(tick)
	if !started.holds(in.StartTime) || in.StartTime > in.Boottime.VDSO {
		complain("/proc/self/stat says started at %d, want within %v", in.StartTime, started)
	}
	// The hooks of a pod's containers that are created at once run in any order, and its
	// clocks count from the start of the one whose hook was first.
	if c.since != nil && !c.shim && in.StartTime < 0 {
		c.s.note("containers that are some milliseconds older than the clocks of their pod")
	} else if in.StartTime < 0 {
		complain("/proc/self/stat says started %v before the clock was zero", time.Duration(-in.StartTime))
	}
	if in.TimeNamespace != in.TimeForChildren {
		complain("the probe is in %s, and its children would be in %s", in.TimeNamespace, in.TimeForChildren)
	}
	if own := in.TimeNamespace != c.before.TimeNamespace; !own && (c.asks.mono.asked || c.asks.boot.asked) {
		complain("the probe is in the host's %s", in.TimeNamespace)
	}
	return err
}

// judge returns by how much a clock inside is ahead of the host's. What it was to read it
// was to read at some time after since.
func (w wish) judge(name string, since, before, in, after probe.Sample) (ahead span, err error) {
	ahead = behindRealtime(before).with(behindRealtime(after)).minus(behindRealtime(in))
	want := span{int64(w.value), int64(w.value)}
	if w.reads {
		// The hook counts from the start of init, which is told in ticks.
		want = want.minus(span{since.VDSO - tick, after.VDSOAfter})
	}
	if !ahead.overlaps(want) {
		err = fmt.Errorf("%s is ahead of the host's by %v, want %v", name, ahead, want)
	}
	if in.VDSO > in.Raw || in.Raw > in.VDSOAfter {
		err = errors.Join(err, fmt.Errorf("%s: vDSO and system call disagree: %+v", name, in))
	}
	if in.Realtime < before.Realtime || in.Realtime > after.Realtime {
		err = errors.Join(err, fmt.Errorf("CLOCK_REALTIME reads %d, and on the host %d before and %d after", in.Realtime, before.Realtime, after.Realtime))
	}
	// It is of no use to know too little.
	if width := ahead.hi - ahead.lo; width > int64(50*time.Millisecond) {
		err = errors.Join(err, fmt.Errorf("%s could only be measured to %v", name, time.Duration(width)))
	}
	return ahead, err
}
