package transparent

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/internal/probe"
)

// TestClocks is the other half: with defaults, clocks do differ, by ten days, in a
// container that asks for nothing.
func TestClocks(t *testing.T) {
	for _, r := range []lowLevel{runc, old, crun} {
		t.Run(r.name, func(t *testing.T) {
			same(t, r, func(w *world) {
				w.renew(func(s *specs.Spec) { s.Process.Args = []string{"/probe"} }, "probe")
				before, err := probe.Read()
				if err != nil {
					t.Fatal(err)
				}
				w.run("run c1")
				var in probe.Report
				if err := json.Unmarshal([]byte(w.read(w.last().out)), &in); err != nil {
					t.Fatal(err)
				}
				w.last().out = "" // clocks read otherwise each time
				want := time.Duration(0)
				if w.v.name == "shifted" {
					want = shift
				}
				for name, s := range map[string][2]probe.Sample{"monotonic": {before.Monotonic, in.Monotonic}, "boottime": {before.Boottime, in.Boottime}} {
					ahead := (s[1].Raw - s[1].Realtime) - (s[0].Raw - s[0].Realtime)
					if off := time.Duration(ahead) - want; off.Abs() > 50*time.Millisecond {
						t.Errorf("%s: CLOCK %s is %v ahead of the host's, want %v", w.v.name, name, time.Duration(ahead), want)
					}
				}
			})
		})
	}
}
