package timens

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Snapshot is what the clocks of a container read at one moment, with what it takes to
// let another container go on from there, on this host or another. It compares with ==.
// The zero value is none.
type Snapshot struct {
	// Clocks are the readings inside the container.
	Clocks Clocks
	// Wall is what the host's other clocks read at that moment.
	Wall Wall
	// Interval is 0 where the container had ended, so that its clocks have not been seen
	// to read more. Else it may have lived on for so long: the next snapshot was due then.
	Interval time.Duration
}

// Wall is what tells, on whatever host, how long ago something was.
type Wall struct {
	// Realtime is CLOCK_REALTIME, since 1970. It can step, and differ between hosts.
	Realtime time.Duration
	// BootID is of the running kernel, /proc/sys/kernel/random/boot_id (proc(5)), in
	// 36 characters.
	BootID string
	// Boottime is CLOCK_BOOTTIME of the initial time namespace. As long as the kernel runs
	// it tells the time exactly.
	Boottime time.Duration
}

// WithWall returns h with h.Wall set, and its Clocks read anew at the same moment. That no
// clock goes on between the readings cannot be had; of several tries, the one counts in which
// they went on the least.
func (h Host) WithWall() (Host, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return h, err
	}
	var best Host
	least := maxDuration
	for range tries {
		before, err := ReadClocks()
		if err != nil {
			return h, err
		}
		var real unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME, &real); err != nil {
			return h, os.NewSyscallError("clock_gettime(CLOCK_REALTIME)", err)
		}
		now, err := ReadHost()
		if err != nil {
			return h, err
		}
		own, err := now.Own.Boottime.Duration()
		if err != nil {
			return h, err
		}
		if took := now.Clocks.Boottime + own - before.Boottime; took < least {
			least, best = took, now
			best.Wall = Wall{Realtime: time.Duration(real.Nano())}
		}
	}
	best.Wall.BootID, best.Wall.Boottime = strings.TrimSpace(string(id)), best.Clocks.Boottime
	return best, nil
}

// tries take some microseconds together, unless this process has to wait for a processor.
const tries = 5

// TakeSnapshot returns what the clocks of a container with these offsets read on a host
// whose Wall is set.
func TakeSnapshot(o Offsets, h Host) (s Snapshot, err error) {
	for _, c := range AllClocks() {
		v, err := o.Get(c).Add(OffsetOf(h.Clocks.Get(c)))
		if err != nil {
			return s, err
		}
		d, err := v.Duration()
		if err != nil {
			return s, err
		}
		if c == Boottime {
			s.Clocks.Boottime = d
		} else {
			s.Clocks.Monotonic = d
		}
	}
	s.Wall = h.Wall
	return s, s.check()
}

// Gap returns how long before h the snapshot was taken: exactly where it is of the same
// boot of the same host, by the two wall clocks where it is not. A wall clock that is
// behind, as it has been set meanwhile, or differs from the other host's, is taken for no
// time at all, and stepped tells so. It is an error where the snapshot is of this very
// boot, and of a moment that has not come yet.
func (s Snapshot) Gap(h Host) (gap time.Duration, stepped bool, err error) {
	if h.Wall.BootID == "" {
		return 0, false, fmt.Errorf("the boot ID of this host is not known")
	}
	if s.Wall.BootID == h.Wall.BootID {
		if gap = h.Clocks.Boottime - s.Wall.Boottime; gap < 0 {
			return 0, false, fmt.Errorf("the snapshot is of this boot of this host, at %v after its start, and it is up for only %v: it has been edited", s.Wall.Boottime, h.Clocks.Boottime)
		}
		return gap, false, nil
	}
	gap = h.Wall.Realtime - s.Wall.Realtime
	return max(gap, 0), gap < 0, nil
}

// reads returns what a clock that goes on from the snapshot reads on h now, as if the
// whole system had been suspended meanwhile: CLOCK_MONOTONIC has stood still, and
// CLOCK_BOOTTIME has not.
func (s Snapshot) reads(c Clock, h Host) (Offset, error) {
	if c == Monotonic {
		return OffsetOf(s.Clocks.Monotonic).Add(OffsetOf(s.Interval))
	}
	gap, _, err := s.Gap(h)
	if err != nil {
		return Offset{}, err
	}
	return OffsetOf(s.Clocks.Boottime).Add(OffsetOf(max(gap, s.Interval)))
}

// check refuses what no clock reads. That CLOCK_BOOTTIME is behind CLOCK_MONOTONIC can be,
// in a container that has asked for it.
func (s Snapshot) check() error {
	for _, f := range []struct {
		name string
		v    time.Duration
	}{
		{"monotonic", s.Clocks.Monotonic}, {"boottime", s.Clocks.Boottime}, {"realtime", s.Wall.Realtime},
		{"host-boottime", s.Wall.Boottime}, {"interval", s.Interval},
	} {
		if f.v < 0 {
			return fmt.Errorf("%s is below zero", f.name)
		}
	}
	return nil
}
