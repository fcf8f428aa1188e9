package timens

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

func TestParseSetting(t *testing.T) {
	for in, want := range map[string]Setting{
		"+36h":                           OffsetSetting(mustNew(t, 129600, 0)),
		"240h":                           OffsetSetting(mustNew(t, 864000, 0)),
		"-1d2h3.5s":                      OffsetSetting(mustNew(t, -93604, 500_000_000)),
		"90061.000000042":                OffsetSetting(mustNew(t, 90061, 42)),
		"-0.000000001":                   OffsetSetting(mustNew(t, -1, 999_999_999)),
		"+1m1ms1us1ns":                   OffsetSetting(mustNew(t, 60, 1_001_001)),
		"1.5d":                           OffsetSetting(mustNew(t, 129600, 0)),
		"0.10000000000s":                 OffsetSetting(mustNew(t, 0, 100_000_000)),
		"-0":                             OffsetSetting(Offset{}),
		"=0":                             ReadsSetting(Offset{}),
		"=49d17h2m47.295s":               ReadsSetting(mustNew(t, 4294967, 295_000_000)),
		"1000ms1000000000ns":             OffsetSetting(mustNew(t, 2, 0)),
		"9223372036854775807":            OffsetSetting(mustNew(t, math.MaxInt64, 0)),
		"-9223372036854775808":           OffsetSetting(mustNew(t, math.MinInt64, 0)),
		"-9223372036854775807.999999999": OffsetSetting(mustNew(t, math.MinInt64, 1)),
	} {
		got, err := ParseSetting(in)
		if got != want || err != nil {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
		if again, err := ParseSetting(got.String()); again != got || err != nil {
			t.Errorf("%q prints as %q, which reads as %v, %v", in, got, again, err)
		}
	}
}

func TestParseSettingErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                      `"": a number is missing at position 1`,
		"=":                     `"=": a number is missing at position 2`,
		"+":                     `"+": a number is missing at position 2`,
		"=-5":                   `"=-5": '-' where a digit is needed at position 2`,
		"==5":                   `"==5": '=' where a digit is needed at position 2`,
		"+-5":                   `"+-5": '-' where a digit is needed at position 2`,
		"36x":                   `"36x": unknown unit "x" (units are d h m s ms us ns) at position 3`,
		"5 d":                   `"5 d": ' ' where a unit (d h m s ms us ns) or the end is needed at position 2`,
		"1h2":                   `"1h2": a number without a unit after one with a unit at position 3`,
		"1h2h":                  `"1h2h": unit "h" after one that is not longer: units go from d to ns, each once, at position 4`,
		"1s1m":                  `"1s1m": unit "m" after one that is not longer: units go from d to ns, each once, at position 4`,
		"1.5h3m":                `"1.5h3m": text after a number with a fraction, which must be the last, at position 5`,
		"1.":                    `"1.": the end where a digit is needed at position 3`,
		".5":                    `".5": '.' where a digit is needed at position 1`,
		"0.5ns":                 `"0.5ns": more digits than whole nanoseconds can hold at position 1`,
		"0.0000000001":          `"0.0000000001": more digits than whole nanoseconds can hold at position 1`,
		"1e3":                   `"1e3": unknown unit "e" (units are d h m s ms us ns) at position 2`,
		"1H":                    `"1H": 'H' where a unit (d h m s ms us ns) or the end is needed at position 2`,
		"１d":                    `"１d": '１' where a digit is needed at position 1`,
		"99999999999999999999":  `"99999999999999999999": a number beyond 64 bits at position 1`,
		"9223372036854775808":   `"9223372036854775808": a span beyond 64-bit seconds at position 1`,
		"=9223372036854775808":  `"=9223372036854775808": a span beyond 64-bit seconds at position 1`,
		"999999999999999d":      `"999999999999999d": a span beyond 64-bit seconds at position 1`,
		"18446744073709551615d": `"18446744073709551615d": a span beyond 64-bit seconds at position 1`,
	} {
		got, err := ParseSetting(in)
		if errText(err) != want || !got.IsZero() {
			t.Errorf("%q: got %v, %v\nwant %s", in, got, err, want)
		}
	}
}

func TestResolve(t *testing.T) {
	h := Host{
		Clocks: Clocks{Monotonic: time.Hour, Boottime: 2 * time.Hour},
		Own:    Offsets{Boottime: mustNew(t, 100, 0)},
	}
	for _, tt := range []struct {
		in    string
		clock Clock
		want  Offset
	}{
		{"", Monotonic, Offset{}},
		{"", Boottime, mustNew(t, 100, 0)}, // what an outer namespace gives is kept
		{"+1d", Monotonic, mustNew(t, 86400, 0)},
		{"+1d", Boottime, mustNew(t, 86500, 0)}, // to the clock that is seen
		{"=0", Monotonic, mustNew(t, -3600, 0)},
		{"=5m", Boottime, mustNew(t, -6900, 0)},
	} {
		var s Setting
		if tt.in != "" {
			if err := s.UnmarshalText([]byte(tt.in)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Resolve(tt.clock, h); got != tt.want || err != nil {
			t.Errorf("%q for %v: got %v, %v; want %v", tt.in, tt.clock, got, err, tt.want)
		}
	}
	if _, err := OffsetSetting(mustNew(t, math.MaxInt64, 0)).Resolve(Boottime, h); err == nil {
		t.Error("an overflow is no error")
	}
	if _, err := ReadsSetting(mustNew(t, -1, 0)).Resolve(Boottime, h); err == nil {
		t.Error("a clock may read -1s")
	}
}

func TestSettingText(t *testing.T) {
	in := map[string]Setting{"a": OffsetSetting(mustNew(t, 90061, 42)), "b": ReadsSetting(Offset{})}
	text, err := json.Marshal(in)
	if string(text) != `{"a":"+1d1h1m1.000000042s","b":"=0"}` || err != nil {
		t.Errorf("got %s, %v", text, err)
	}
	var out map[string]Setting
	if err := json.Unmarshal(text, &out); err != nil || out["a"] != in["a"] || out["b"] != in["b"] {
		t.Errorf("got %v, %v", out, err)
	}
}
