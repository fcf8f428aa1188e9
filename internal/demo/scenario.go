package demo

import (
	"time"

	"oci-timens/timens"
)

// scenario is what one container asks for; a clock that is not asked for is the
// zero Setting and has to be the host's.
type scenario struct {
	monotonic, boottime timens.Setting
}

func (s scenario) get(c timens.Clock) timens.Setting {
	if c == timens.Boottime {
		return s.boottime
	}
	return s.monotonic
}

// annotations are what a user would write.
func (s scenario) annotations() map[string]string {
	a := map[string]string{}
	for _, c := range timens.AllClocks() {
		if v := s.get(c); !v.IsZero() {
			a["io.timens."+c.String()] = v.String()
		}
	}
	return a
}

// scenarios returns what every runtime is asked for, on a machine whose clocks
// read now: both clocks ahead, both back, both from zero, and one alone.
func scenarios(now timens.Clocks) []scenario {
	offset := func(d time.Duration) timens.Setting { return timens.OffsetSetting(timens.OffsetOf(d)) }
	return []scenario{
		{offset(36 * time.Hour), offset(41*24*time.Hour + 2*time.Hour + 500*time.Millisecond)},
		{offset(-back(now.Monotonic)), offset(-back(now.Boottime) + 100*time.Millisecond)},
		{timens.ReadsSetting(timens.Offset{}), timens.ReadsSetting(timens.Offset{})},
		{timens.Setting{}, timens.ReadsSetting(timens.OffsetOf(49 * 24 * time.Hour))},
	}
}

// back returns how far a clock that reads now can well be set back: not below
// zero, which the kernel refuses, and with a part below a second.
func back(now time.Duration) time.Duration {
	for _, d := range []time.Duration{36 * time.Hour, time.Hour, time.Minute, 2 * time.Second} {
		if now > 2*d {
			return d + 250*time.Millisecond
		}
	}
	return min(250*time.Millisecond, (now / 2).Truncate(time.Millisecond))
}
