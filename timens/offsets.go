package timens

import (
	"fmt"
	"strconv"
	"strings"
)

// Offsets holds the offset of each clock. It compares with ==; the zero value
// is the host's clocks.
type Offsets struct {
	Monotonic Offset
	Boottime  Offset
}

// Get returns the offset of one clock.
func (o Offsets) Get(c Clock) Offset {
	if c == Boottime {
		return o.Boottime
	}
	return o.Monotonic
}

// With returns o with the offset of one clock replaced.
func (o Offsets) With(c Clock, v Offset) Offsets {
	if c == Boottime {
		o.Boottime = v
	} else {
		o.Monotonic = v
	}
	return o
}

// IsZero reports whether both clocks are the host's.
func (o Offsets) IsZero() bool { return o == Offsets{} }

// String returns both offsets, such as "monotonic +0, boottime -5d18h".
func (o Offsets) String() string {
	return "monotonic " + o.Monotonic.String() + ", boottime " + o.Boottime.String()
}

// KernelText returns what is written to /proc/PID/timens_offsets: a line for
// each clock, "clock-id seconds nanoseconds". Clock names are accepted since
// about Linux 5.7, their ids by every kernel with time namespaces.
func (o Offsets) KernelText() string {
	var b []byte
	for _, c := range AllClocks() {
		v := o.Get(c)
		b = append(strconv.AppendInt(b, int64(c), 10), ' ')
		b = append(strconv.AppendInt(b, v.Seconds(), 10), ' ')
		b = append(strconv.AppendInt(b, v.Nanoseconds(), 10), '\n')
	}
	return string(b)
}

// ParseKernelText reads the lines of /proc/PID/timens_offsets. The result holds
// the clocks that have a line; listed tells which. More than two lines, a clock
// twice, an unknown clock and nanoseconds out of range are errors, as they are
// to the kernel.
func ParseKernelText(text string) (o Offsets, listed map[Clock]bool, err error) {
	listed = make(map[Clock]bool, 2)
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		c, v, err := parseKernelLine(line)
		if err != nil {
			return Offsets{}, nil, fmt.Errorf("line %d %.256q: %w", i+1, line, err)
		}
		if listed[c] {
			return Offsets{}, nil, fmt.Errorf("line %d %.256q: the %v clock is listed twice", i+1, line, c)
		}
		listed[c] = true
		o = o.With(c, v)
	}
	return o, listed, nil
}

func parseKernelLine(line string) (Clock, Offset, error) {
	f := strings.Fields(line)
	if len(f) != 3 {
		return 0, Offset{}, fmt.Errorf("want \"clock seconds nanoseconds\"")
	}
	var clock Clock
	switch f[0] {
	case "monotonic", "1":
		clock = Monotonic
	case "boottime", "7":
		clock = Boottime
	default:
		return 0, Offset{}, fmt.Errorf("unknown clock %.64q: want monotonic (1) or boottime (7)", f[0])
	}
	secs, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0, Offset{}, fmt.Errorf("seconds %.64q are no 64-bit number", f[1])
	}
	nanos, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return 0, Offset{}, fmt.Errorf("nanoseconds %.64q are no number", f[2])
	}
	v, err := NewOffset(secs, nanos)
	return clock, v, err
}

// maxClockSeconds is KTIME_SEC_MAX / 2: the kernel accepts no offset that sets a
// clock further ahead, some 146 years (proc_timens_set_offset in
// kernel/time/namespace.c, Linux 6.18).
const maxClockSeconds = 4611686018

// RangeError says that an offset would take a clock out of the kernel's range.
// The kernel's own answer is ERANGE, without saying which clock.
type RangeError struct {
	Clock  Clock
	Offset Offset
	Host   Offset // what the clock of the initial time namespace reads
}

// Error names the clock, what it would read, what the host's reads, and a way out.
func (e *RangeError) Error() string {
	reads := fmt.Sprintf("offset %v would set %s", e.Offset, e.Clock.Const())
	would, err := e.Host.Add(e.Offset)
	if err == nil {
		reads += " to " + Brief(would)
	}
	if e.Offset.Sign() < 0 {
		return fmt.Sprintf("%s, below zero: on this host it reads %s; use \"=0\" for a clock that starts at zero", reads, Brief(e.Host))
	}
	return fmt.Sprintf("%s: on this host it reads %s, and the kernel allows no clock beyond %s (146 years)",
		reads, Brief(e.Host), Brief(Offset{secs: maxClockSeconds}))
}

// Brief formats o for messages: without a sign when positive, and without its part
// below a second, unless that is all there is.
func Brief(o Offset) string {
	sign, secs, nanos := "", uint64(o.secs), o.nanos
	if o.Sign() < 0 {
		sign = "-"
		secs, nanos = magnitude(o)
	}
	if secs > 0 {
		nanos = 0
	}
	return sign + formatSpan(secs, nanos)
}

// Check reports whether the kernel accepts o on a host whose clocks read host:
// no clock may become negative or pass 146 years. The error is a *RangeError.
// Clocks advance between a check and a write, so an offset within a moment of
// the limit may still be refused by the kernel.
func (o Offsets) Check(host Clocks) error {
	for _, c := range AllClocks() {
		h := OffsetOf(host.Get(c))
		sum, err := h.Add(o.Get(c))
		if err != nil || sum.Sign() < 0 || sum.secs > maxClockSeconds {
			return &RangeError{Clock: c, Offset: o.Get(c), Host: h}
		}
	}
	return nil
}
