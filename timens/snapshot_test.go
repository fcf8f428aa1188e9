package timens

import (
	"strings"
	"testing"
	"time"
)

const (
	bootA = "00000000-1111-2222-3333-444444444444"
	bootB = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	text  = "v1:monotonic=12.000000001:boottime=20.5:realtime=1000:host-boottime=99.25:boot-id=" + bootA
)

// TestResume has clocks go on from a snapshot.
func TestResume(t *testing.T) {
	for name, tt := range map[string]struct {
		snapshot       string
		host           string // monotonic boottime realtime
		boot           string
		mono, boottime string // what they read
		stepped        bool
		err            string
	}{
		"the same boot":          {text, "300s 400s 5000s", bootA, "12.000000001s", "321.25s", false, ""},
		"at once":                {text, "90s 99.25s 1000s", bootA, "12.000000001s", "20.5s", false, ""},
		"this boot's future":     {text, "9s 99s 1000s", bootA, "", "", false, "it has been edited"},
		"another boot":           {text, "1s 2s 1030s", bootB, "12.000000001s", "50.5s", false, ""},
		"a longer uptime":        {text, "100000s 200000s 1000.5s", bootB, "12.000000001s", "21s", false, ""},
		"a clock that is behind": {text, "1s 2s 400s", bootB, "12.000000001s", "20.5s", true, ""},
		"an interval":            {text + ":interval=10", "300s 400s 5000s", bootA, "22.000000001s", "321.25s", false, ""},
		"a longer interval":      {text + ":interval=1000", "300s 400s 5000s", bootA, "1012.000000001s", "1020.5s", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := ParseSnapshot(tt.snapshot)
			if err != nil {
				t.Fatal(err)
			}
			f := strings.Fields(tt.host)
			h := Host{Clocks: Clocks{duration(t, f[0]), duration(t, f[1])}, Wall: Wall{BootID: tt.boot, Realtime: duration(t, f[2])}}
			_, stepped, err := s.Gap(h)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatal(err)
				}
				if _, err := ResumeSetting(s).Resolve(Boottime, h); err == nil {
					t.Error("resolved")
				}
				return
			}
			if err != nil || stepped != tt.stepped {
				t.Errorf("stepped: %v, %v", stepped, err)
			}
			for c, want := range map[Clock]string{Monotonic: tt.mono, Boottime: tt.boottime} {
				o, err := ResumeSetting(s).Resolve(c, h)
				if err != nil {
					t.Fatal(err)
				}
				if d, err := o.Duration(); err != nil || h.Clocks.Get(c)+d != duration(t, want) {
					t.Errorf("%v reads %v, %v, want %s", c, h.Clocks.Get(c)+d, err, want)
				}
			}
		})
	}
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTakeSnapshot(t *testing.T) {
	h := Host{Clocks: Clocks{100 * time.Second, 200 * time.Second}, Wall: Wall{5, bootA, 200 * time.Second}}
	s, err := TakeSnapshot(Offsets{Monotonic: OffsetOf(-90 * time.Second), Boottime: OffsetOf(time.Hour)}, h)
	if want := (Snapshot{Clocks: Clocks{10 * time.Second, time.Hour + 200*time.Second}, Wall: h.Wall}); s != want || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := TakeSnapshot(Offsets{Monotonic: OffsetOf(-101 * time.Second)}, h); err == nil || err.Error() != "monotonic is below zero" {
		t.Error(err)
	}
}

// TestSnapshotHere takes two of this host.
func TestSnapshotHere(t *testing.T) {
	h, err := Host{}.WithWall()
	if err != nil {
		t.Fatal(err)
	}
	s, err := TakeSnapshot(Offsets{}, h)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSnapshot(s.String())
	if err != nil || again != s {
		t.Errorf("%v, %v", again, err)
	}
	later, err := h.WithWall()
	if err != nil {
		t.Fatal(err)
	}
	if gap, stepped, err := s.Gap(later); gap <= 0 || gap > time.Minute || stepped || err != nil {
		t.Errorf("%v, %v, %v", gap, stepped, err)
	}
}

func TestParseSnapshotRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"empty":     {"", `"": no snapshot of clocks: one begins with "v1:", as timensctl snapshot prints it, at position 1`},
		"version":   {"v2" + text[2:], "no snapshot of clocks"},
		"nothing":   {"v1:", `unknown field "" of a snapshot at position 4`},
		"cut off":   {text[:54], `unknown field "" of a snapshot at position 55`},
		"shorter":   {text[:53], `: the field "host-boottime" is missing at position 54`},
		"missing":   {strings.Replace(text, "boottime=20.5:", "", 1), `the field "boottime" is missing`},
		"twice":     {text + ":monotonic=1", `the field "monotonic" for the second time at position 120`},
		"unknown":   {text + ":x=1", `unknown field "x" of a snapshot`},
		"negative":  {strings.Replace(text, "=12", "=-12", 1), "no number of seconds, up to 9223372036 and with at most 9 digits behind the point, at position 14"},
		"too fine":  {strings.Replace(text, "20.5", "20.0000000005", 1), "no number of seconds"},
		"too large": {strings.Replace(text, "20.5", "9223372036", 1), "no number of seconds"},
		"no number": {strings.Replace(text, "20.5", "0x20", 1), "no number of seconds"},
		"a point":   {strings.Replace(text, "20.5", "20.", 1), "no number of seconds"},
		"boot ID":   {strings.Replace(text, "444444444444", "44444444444", 1), "no boot ID, which is 36 hexadecimal digits"},
		"upper":     {strings.Replace(text, bootA, strings.ToUpper(bootB), 1), "no boot ID"},
		"space":     {text + " ", "no boot ID"},
		"long":      {text + strings.Repeat(":", 600), "a snapshot is shorter than 512 bytes"},
	} {
		if _, err := ParseSnapshot(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}
