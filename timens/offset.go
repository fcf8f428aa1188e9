package timens

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

const nanosPerSecond = 1_000_000_000

// Offset is the distance between a clock inside a time namespace and the same
// clock in the initial one, exact to the nanosecond. It is the kernel's pair of
// whole seconds, which may be negative, and nanoseconds from 0 to 999999999:
// half a second back is -1 s and 500000000 ns. Offsets compare with ==. The
// zero value is the host's clock.
type Offset struct {
	secs  int64
	nanos uint32
}

// NewOffset returns the offset of secs seconds plus nanos nanoseconds. It fails
// when nanos is not in 0..999999999, as the kernel would.
func NewOffset(secs, nanos int64) (Offset, error) {
	if nanos < 0 || nanos >= nanosPerSecond {
		return Offset{}, fmt.Errorf("nanoseconds %d are out of range: they are 0 to 999999999, and seconds carry the sign", nanos)
	}
	return Offset{secs, uint32(nanos)}, nil
}

// OffsetOf converts a duration. Every duration has an exact offset.
func OffsetOf(d time.Duration) Offset {
	secs, nanos := int64(d)/nanosPerSecond, int64(d)%nanosPerSecond
	if nanos < 0 {
		secs, nanos = secs-1, nanos+nanosPerSecond
	}
	return Offset{secs, uint32(nanos)}
}

// Seconds returns the whole seconds, rounded down.
func (o Offset) Seconds() int64 { return o.secs }

// Nanoseconds returns the part after the whole seconds, 0 to 999999999.
func (o Offset) Nanoseconds() int64 { return int64(o.nanos) }

// IsZero reports whether the clock is the host's.
func (o Offset) IsZero() bool { return o == Offset{} }

// Sign returns -1, 0 or +1.
func (o Offset) Sign() int { return o.Compare(Offset{}) }

// Compare returns -1, 0 or +1 as o is below, equal to or above p.
func (o Offset) Compare(p Offset) int {
	if c := cmp.Compare(o.secs, p.secs); c != 0 {
		return c
	}
	return cmp.Compare(o.nanos, p.nanos)
}

// Add returns o + p, or an error when the sum does not fit.
func (o Offset) Add(p Offset) (Offset, error) {
	nanos, carry := o.nanos+p.nanos, int64(0)
	if nanos >= nanosPerSecond {
		nanos, carry = nanos-nanosPerSecond, 1
	}
	secs, fits := sum(o.secs, p.secs, carry)
	if !fits {
		return Offset{}, fmt.Errorf("%v plus %v overflows 64-bit seconds", o, p)
	}
	return Offset{secs, nanos}, nil
}

// Sub returns o - p, or an error when the difference does not fit.
func (o Offset) Sub(p Offset) (Offset, error) {
	nanos, borrow := int64(o.nanos)-int64(p.nanos), int64(0)
	if nanos < 0 {
		nanos, borrow = nanos+nanosPerSecond, 1
	}
	// o - p is o + ^p + 1, and ^p always fits.
	secs, fits := sum(o.secs, ^p.secs, 1-borrow)
	if !fits {
		return Offset{}, fmt.Errorf("%v minus %v overflows 64-bit seconds", o, p)
	}
	return Offset{secs, uint32(nanos)}, nil
}

// sum returns a + b + carry, where carry is 0 or 1, and whether that fits.
func sum(a, b, carry int64) (int64, bool) {
	// Two of different signs do not overflow, and leave room for a carry.
	if a >= 0 && b >= 0 {
		return a + b + carry, uint64(a)+uint64(b)+uint64(carry) <= math.MaxInt64
	}
	if a < 0 && b < 0 {
		s := a + b + carry
		return s, s < 0
	}
	return a + b + carry, true
}

// Neg returns -o, or an error when it does not fit.
func (o Offset) Neg() (Offset, error) {
	switch {
	case o.nanos > 0:
		return Offset{-(o.secs + 1), nanosPerSecond - o.nanos}, nil
	case o.secs == math.MinInt64:
		return Offset{}, fmt.Errorf("minus %v overflows 64-bit seconds", o)
	}
	return Offset{-o.secs, 0}, nil
}

// Duration converts o, or fails when it is beyond the 292 years of a duration.
func (o Offset) Duration() (time.Duration, error) {
	d := time.Duration(o.secs*nanosPerSecond + int64(o.nanos))
	if OffsetOf(d) != o { // it wrapped around
		return 0, fmt.Errorf("%v does not fit in a time.Duration", o)
	}
	return d, nil
}

// String returns the shortest exact form that ParseOffset reads back, such as
// "+1d12h", "-0.5s" or "+0".
func (o Offset) String() string {
	if o.Sign() < 0 {
		secs, nanos := magnitude(o)
		return "-" + formatSpan(secs, nanos)
	}
	return "+" + formatSpan(uint64(o.secs), o.nanos)
}

// magnitude returns |o| of a negative offset; it fits for every value.
func magnitude(o Offset) (secs uint64, nanos uint32) {
	if o.nanos == 0 {
		return uint64(-o.secs), 0 // -MinInt64 wraps to itself, which is 2^63 unsigned
	}
	return uint64(-(o.secs + 1)), nanosPerSecond - o.nanos
}

// MarshalText implements encoding.TextMarshaler with String's form.
func (o Offset) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseOffset.
func (o *Offset) UnmarshalText(text []byte) error {
	p, err := ParseOffset(string(text))
	if err == nil {
		*o = p
	}
	return err
}
