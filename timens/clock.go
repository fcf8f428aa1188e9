package timens

import (
	"fmt"
	"time"
)

// Clock is one of the two clocks that a time namespace shifts. Its value is the
// kernel's clock id, as in clock_gettime(2).
type Clock int32

const (
	// Monotonic is CLOCK_MONOTONIC, and with it CLOCK_MONOTONIC_RAW and
	// CLOCK_MONOTONIC_COARSE.
	Monotonic Clock = 1
	// Boottime is CLOCK_BOOTTIME, and with it /proc/uptime, sysinfo(2), btime in
	// /proc/stat and the start times of processes.
	Boottime Clock = 7
)

// AllClocks lists the clocks in the order in which they are always printed.
func AllClocks() [2]Clock { return [2]Clock{Monotonic, Boottime} }

// ParseClock returns the clock called "monotonic" or "boottime".
func ParseClock(s string) (Clock, error) {
	for _, c := range AllClocks() {
		if s == c.String() {
			return c, nil
		}
	}
	return 0, fmt.Errorf("unknown clock %q: the clocks of a time namespace are monotonic and boottime", s)
}

// String returns the name that the kernel and config.json use: "monotonic" or
// "boottime".
func (c Clock) String() string {
	switch c {
	case Monotonic:
		return "monotonic"
	case Boottime:
		return "boottime"
	}
	return fmt.Sprintf("Clock(%d)", int32(c))
}

// Const returns the name of the C constant, such as CLOCK_BOOTTIME.
func (c Clock) Const() string {
	switch c {
	case Monotonic:
		return "CLOCK_MONOTONIC"
	case Boottime:
		return "CLOCK_BOOTTIME"
	}
	return c.String()
}

// Clocks holds what the two clocks read at one moment.
type Clocks struct {
	Monotonic time.Duration
	Boottime  time.Duration
}

// Get returns the reading of one clock.
func (c Clocks) Get(clock Clock) time.Duration {
	if clock == Boottime {
		return c.Boottime
	}
	return c.Monotonic
}

// Host is what has to be known of a machine to turn a Setting into an Offset.
type Host struct {
	// Clocks are the readings in the initial time namespace, the kernel's own.
	Clocks Clocks
	// Own are the offsets of the time namespace of the reader: not zero when it
	// runs in a shifted container itself. The kernel's offsets are absolute, so
	// an offset "to the host's clock" as the reader sees it is added to these.
	Own Offsets
	// Wall is set only for who goes on from a Snapshot: see WithWall.
	Wall Wall
}
