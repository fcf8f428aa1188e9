package integration

import (
	"testing"
	"time"

	"oci-timens/internal/probe"
)

// expect is what a test wants of one clock: an offset to the host's, or, with
// reads, what the clock read when the container was created.
type expect struct {
	reads bool
	value time.Duration
}

func ahead(d time.Duration) expect { return expect{value: d} }
func reads(d time.Duration) expect { return expect{reads: true, value: d} }

// want is what a test wants of both clocks. The zero value: the host's.
type want struct{ monotonic, boottime expect }

func (w want) hosts() bool { return w == want{} }

// seen is one report from inside a container, with the host's clocks read before
// the process that made it was started and after it was read.
type seen struct {
	before, inside, after probe.Report
}

// host reads the clocks of the machine.
func host(t *testing.T) probe.Report {
	t.Helper()
	r, err := probe.Read()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// span is a closed interval of nanoseconds.
type span struct{ lo, hi int64 }

func (s span) holds(v int64) bool    { return s.lo <= v && v <= s.hi }
func (s span) overlaps(o span) bool  { return s.lo <= o.hi && o.lo <= s.hi }
func (s span) minus(o span) span     { return span{s.lo - o.hi, s.hi - o.lo} }
func (s span) plus(o span) span      { return span{s.lo + o.lo, s.hi + o.hi} }
func (s span) including(o span) span { return span{min(s.lo, o.lo), max(s.hi, o.hi)} }
func (s span) widened(by int64) span { return span{s.lo - by, s.hi + by} }
func between(a, b probe.Sample) span { return span{a.VDSO, b.VDSOAfter} }
func behindRealtime(s probe.Sample) span {
	return span{s.Realtime - s.VDSOAfter, s.Realtime - s.VDSO}
}

// offset measures by how much a clock inside is ahead of the host's. No time
// namespace shifts CLOCK_REALTIME, so that the distances of a clock to it, inside
// and outside, tell the offset exactly whenever they were read, unless the
// machine's time was set in between: then the result is wider, never wrong.
func offset(before, inside, after probe.Sample) span {
	return behindRealtime(before).including(behindRealtime(after)).minus(behindRealtime(inside))
}

// poor is the width beyond which a measurement says too little.
const poor = int64(5 * time.Millisecond)

// clock checks one clock and returns its offset.
func (e expect) clock(t *testing.T, name string, created seen, before, inside, after probe.Sample) span {
	t.Helper()
	got := offset(before, inside, after)
	if got.hi-got.lo > poor {
		t.Errorf("%s: could only be measured to %v: %v", name, time.Duration(got.hi-got.lo), got)
	}
	asked := span{int64(e.value), int64(e.value)}
	if e.reads {
		// The kernel tells the start of a process, which the hook takes for the
		// creation of its container, in clock ticks rounded down.
		const tick = int64(10 * time.Millisecond)
		at := between(pick(name, created.before), pick(name, created.after))
		at.lo -= tick
		asked = asked.minus(at)
	}
	if !got.overlaps(asked) {
		t.Errorf("%s: is %v..%v ahead of the host's, want %v..%v", name,
			time.Duration(got.lo), time.Duration(got.hi), time.Duration(asked.lo), time.Duration(asked.hi))
	}
	// The same without CLOCK_REALTIME: a reading from inside lies between the
	// host's before and after, shifted.
	allowed := between(before, after).plus(got)
	if !allowed.holds(inside.VDSO) || !allowed.holds(inside.VDSOAfter) {
		t.Errorf("%s: reads %d..%d, outside of %v", name, inside.VDSO, inside.VDSOAfter, allowed)
	}
	if inside.VDSO > inside.Raw || inside.Raw > inside.VDSOAfter {
		t.Errorf("%s: vDSO and system call disagree: %+v", name, inside)
	}
	if inside.Realtime < before.Realtime || inside.Realtime > after.Realtime {
		t.Errorf("CLOCK_REALTIME reads %d inside, %d before and %d after on the host", inside.Realtime, before.Realtime, after.Realtime)
	}
	return got
}

func pick(clock string, r probe.Report) probe.Sample {
	if clock == "monotonic" {
		return r.Monotonic
	}
	return r.Boottime
}

// check compares everything that a report tells with what was asked for. created
// holds the host's clocks before and after the container was created.
func (w want) check(t *testing.T, created, s seen) {
	t.Helper()
	in := s.inside
	mono := w.monotonic.clock(t, "monotonic", created, s.before.Monotonic, in.Monotonic, s.after.Monotonic)
	boot := w.boottime.clock(t, "boottime", created, s.before.Boottime, in.Boottime, s.after.Boottime)

	for name, c := range map[string][3]int64{
		"CLOCK_MONOTONIC_RAW":    {s.before.MonotonicRaw, in.MonotonicRaw, s.after.MonotonicRaw},
		"CLOCK_MONOTONIC_COARSE": {s.before.MonotonicCoarse, in.MonotonicCoarse, s.after.MonotonicCoarse},
	} {
		if !(span{c[0], c[2]}.plus(mono)).holds(c[1]) {
			t.Errorf("%s: reads %d inside, on the host %d before and %d after, and CLOCK_MONOTONIC is shifted by %v", name, c[1], c[0], c[2], mono)
		}
	}

	const tick, second = int64(10 * time.Millisecond), int64(time.Second)
	read := span{in.Boottime.Raw, in.BoottimeAfter}
	if !read.widened(tick).holds(in.Uptime) {
		t.Errorf("/proc/uptime says %d while CLOCK_BOOTTIME read %v", in.Uptime, read)
	}
	if !(span{read.lo, read.hi + second}).holds(in.Sysinfo) {
		t.Errorf("sysinfo says %d while CLOCK_BOOTTIME read %v", in.Sysinfo, read)
	}
	started, booted, latest := span{s.before.Boottime.VDSO, s.after.Boottime.VDSO}, s.before.Boottime, s.after.Boottime.VDSO
	if kernelFrom(5, 11) { // "fs/proc: apply the time namespace offset to /proc/stat btime", and the one before it
		started, booted, latest = started.plus(boot), in.Boottime, in.Boottime.VDSO
	}
	if !started.widened(tick).holds(in.StartTime) || in.StartTime > latest {
		t.Errorf("/proc/self/stat says started at %d, want within %v", in.StartTime, started)
	}
	// The kernel counts without a sign: ps would show a start 584 years from now.
	if in.StartTime < 0 {
		t.Errorf("/proc/self/stat says started %v before the clock was zero", time.Duration(-in.StartTime))
	}
	if at := booted.Realtime - booted.Raw; !(span{at - second, at + second}).holds(in.BootedAt) {
		t.Errorf("/proc/stat says booted at %d, by the clocks it was %d", in.BootedAt, at)
	}

	if in.TimeNamespace != in.TimeForChildren {
		t.Errorf("runs in %s, but its children would in %s", in.TimeNamespace, in.TimeForChildren)
	}
	if own := in.TimeNamespace != s.before.TimeNamespace; !own && !w.hosts() {
		t.Errorf("runs in the host's time namespace %s", in.TimeNamespace)
	}
}
