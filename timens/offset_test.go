package timens

import (
	"math"
	"testing"
	"time"
)

func mustNew(t *testing.T, secs, nanos int64) Offset {
	t.Helper()
	o, err := NewOffset(secs, nanos)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestNewOffset(t *testing.T) {
	for _, nanos := range []int64{-1, 1_000_000_000, math.MaxInt64, math.MinInt64} {
		if _, err := NewOffset(0, nanos); err == nil {
			t.Errorf("accepted %d nanoseconds", nanos)
		}
	}
	o := mustNew(t, -1, 500_000_000)
	if o.String() != "-0.5s" || o.Seconds() != -1 || o.Nanoseconds() != 500_000_000 || o.Sign() != -1 {
		t.Errorf("got %v", o)
	}
}

func TestOffsetArithmetic(t *testing.T) {
	const most, least = math.MaxInt64, math.MinInt64
	for _, tt := range []struct{ a, b, sum Offset }{
		{mustNew(t, 1, 600_000_000), mustNew(t, 2, 600_000_000), mustNew(t, 4, 200_000_000)},
		{mustNew(t, -1, 500_000_000), mustNew(t, 0, 500_000_000), Offset{}},
		{mustNew(t, most, 0), mustNew(t, least, 0), mustNew(t, -1, 0)},
		{mustNew(t, least, 500_000_000), mustNew(t, -1, 500_000_000), mustNew(t, least, 0)},
		{mustNew(t, most, 999_999_999), mustNew(t, 0, 0), mustNew(t, most, 999_999_999)},
	} {
		if got, err := tt.a.Add(tt.b); got != tt.sum || err != nil {
			t.Errorf("%v + %v = %v, %v; want %v", tt.a, tt.b, got, err, tt.sum)
		}
		if got, err := tt.b.Add(tt.a); got != tt.sum || err != nil {
			t.Errorf("%v + %v = %v, %v; want %v", tt.b, tt.a, got, err, tt.sum)
		}
		if got, err := tt.sum.Sub(tt.b); err == nil && got != tt.a {
			t.Errorf("%v - %v = %v; want %v", tt.sum, tt.b, got, tt.a)
		}
	}
	for _, tt := range []struct{ a, b Offset }{
		{mustNew(t, most, 0), mustNew(t, 1, 0)},
		{mustNew(t, most, 600_000_000), mustNew(t, 0, 400_000_000)},
		{mustNew(t, least, 0), mustNew(t, -1, 999_999_999)},
		{mustNew(t, least, 0), mustNew(t, least, 0)},
		{mustNew(t, most, 0), mustNew(t, most, 999_999_999)},
	} {
		if got, err := tt.a.Add(tt.b); err == nil {
			t.Errorf("%v + %v = %v, want an error", tt.a, tt.b, got)
		}
	}
	for _, tt := range []struct{ a, b, diff Offset }{
		{mustNew(t, -1, 0), mustNew(t, least, 0), mustNew(t, most, 0)},
		{mustNew(t, -1, 999_999_999), mustNew(t, least, 0), mustNew(t, most, 999_999_999)},
		{mustNew(t, 0, 0), mustNew(t, least, 1), mustNew(t, most, 999_999_999)},
		{mustNew(t, least, 0), mustNew(t, least, 0), Offset{}},
		{mustNew(t, 1, 0), mustNew(t, 0, 1), mustNew(t, 0, 999_999_999)},
	} {
		if got, err := tt.a.Sub(tt.b); got != tt.diff || err != nil {
			t.Errorf("%v - %v = %v, %v; want %v", tt.a, tt.b, got, err, tt.diff)
		}
	}
	for _, tt := range []struct{ a, b Offset }{
		{mustNew(t, 0, 0), mustNew(t, least, 0)},
		{mustNew(t, least, 0), mustNew(t, 0, 1)},
		{mustNew(t, -2, 0), mustNew(t, most, 1)},
	} {
		if got, err := tt.a.Sub(tt.b); err == nil {
			t.Errorf("%v - %v = %v, want an error", tt.a, tt.b, got)
		}
	}
	if _, err := mustNew(t, least, 0).Neg(); err == nil {
		t.Error("the least offset has no opposite")
	}
	if n, err := mustNew(t, least, 1).Neg(); n != mustNew(t, most, 999_999_999) || err != nil {
		t.Errorf("got %v, %v", n, err)
	}
}

func TestOffsetDuration(t *testing.T) {
	for _, d := range []time.Duration{0, 1, -1, math.MaxInt64, math.MinInt64, time.Second, -1500 * time.Millisecond, 200 * 365 * 24 * time.Hour} {
		if got, err := OffsetOf(d).Duration(); got != d || err != nil {
			t.Errorf("%v became %v, %v", d, got, err)
		}
	}
	if _, err := mustNew(t, math.MaxInt64, 0).Duration(); err == nil {
		t.Error("292 billion years fit into a duration")
	}
}

func TestKernelText(t *testing.T) {
	o := Offsets{mustNew(t, -1, 500_000_000), mustNew(t, 86400, 1)}
	if got, want := o.KernelText(), "1 -1 500000000\n7 86400 1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got, listed, err := ParseKernelText("monotonic          -1 500000000\nboottime        86400         1\n")
	if got != o || len(listed) != 2 || err != nil {
		t.Errorf("got %v, %v, %v", got, listed, err)
	}
	if got, listed, err := ParseKernelText("7 5 0"); got.Boottime != mustNew(t, 5, 0) || listed[Monotonic] || err != nil {
		t.Errorf("got %v, %v, %v", got, listed, err)
	}
	for text, want := range map[string]string{
		"":                               `line 1 "": want "clock seconds nanoseconds"`,
		"monotonic 1":                    `line 1 "monotonic 1": want "clock seconds nanoseconds"`,
		"realtime 1 0":                   `line 1 "realtime 1 0": unknown clock "realtime": want monotonic (1) or boottime (7)`,
		"monotonic x 0":                  `line 1 "monotonic x 0": seconds "x" are no 64-bit number`,
		"1 9223372036854775808 0":        `line 1 "1 9223372036854775808 0": seconds "9223372036854775808" are no 64-bit number`,
		"monotonic 1 1000000000":         `line 1 "monotonic 1 1000000000": nanoseconds 1000000000 are out of range: they are 0 to 999999999, and seconds carry the sign`,
		"monotonic 1 0\n1 2 0":           `line 2 "1 2 0": the monotonic clock is listed twice`,
		"1 1 0\n7 1 0\n\nboottime 1 0\n": `line 3 "": want "clock seconds nanoseconds"`,
	} {
		if _, _, err := ParseKernelText(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v\nwant %s", text, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	host := Clocks{Monotonic: 5*24*time.Hour + 18*time.Hour, Boottime: 6 * 24 * time.Hour}
	for _, tt := range []struct {
		o    Offsets
		want string
	}{
		{Offsets{}, ""},
		{Offsets{Monotonic: offset(t, "-5d18h"), Boottime: offset(t, "-6d")}, ""},
		{Offsets{Boottime: offset(t, "-400d")}, `offset -400d would set CLOCK_BOOTTIME to -394d, below zero: on this host it reads 6d; use "=0" for a clock that starts at zero`},
		{Offsets{Monotonic: offset(t, "-5d18h0.000000001s")}, `offset -5d18h0.000000001s would set CLOCK_MONOTONIC to -0.000000001s, below zero: on this host it reads 5d18h; use "=0" for a clock that starts at zero`},
		{Offsets{Monotonic: mustNew(t, 4611686018-496800, 0)}, ""},
		{Offsets{Monotonic: mustNew(t, 4611686018-496799, 0)}, "offset +53370d5h53m39s would set CLOCK_MONOTONIC to 53375d23h53m39s: on this host it reads 5d18h, and the kernel allows no clock beyond 53375d23h53m38s (146 years)"},
		{Offsets{Monotonic: mustNew(t, math.MaxInt64, 0)}, "offset +106751991167300d15h30m7s would set CLOCK_MONOTONIC: on this host it reads 5d18h, and the kernel allows no clock beyond 53375d23h53m38s (146 years)"},
	} {
		err := tt.o.Check(host)
		if got := errText(err); got != tt.want {
			t.Errorf("%v: got %s\nwant %s", tt.o, got, tt.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
