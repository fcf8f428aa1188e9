package engine

import (
	"slices"
	"testing"

	"oci-timens/internal/plan"
)

// TestDockerRuntime has check judge a device by the runtime that containers have with
// it, which daemon.json tells.
func TestDockerRuntime(t *testing.T) {
	for text, want := range map[string]struct {
		asked string
		exec  bool
	}{
		"{}": {"runc", false},
		`{"default-runtime": "crun", "runtimes": {"crun": {"path": "/usr/bin/crun"}}}`: {"/usr/bin/crun", true},
		`{"default-runtime": "runc"}`: {"runc", false},
		`{"default-runtime": "t", "runtimes": {"t": {"path": "/usr/bin/timens-runc"}}}`: {"", true},
	} {
		h := testCase{version: "Docker version 28.2.2", files: map[string]string{"/etc/docker/daemon.json": text}}.machine(t)
		var asked []string
		h.LowLevel = func(name string) (plan.Runtime, error) {
			asked = append(asked, name)
			if name == "runc" {
				return plan.Runtime{Name: "runc", Version: "1.1.15"}, nil
			}
			return plan.Runtime{Name: "crun", Version: "1.21"}, nil
		}
		if _, err := Configure(h, Options{Engine: Docker, Mode: ModeCDI}); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(asked, want.asked) {
			t.Errorf("%s: configure asked about %q, want %q", text, asked, want.asked)
		}
		for _, s := range Check(h, nil) {
			for _, w := range s.Ways {
				for _, v := range w.Works {
					if s.Engine == Docker && w.Mode == ModeCDI && v.What == "exec" && v.Works != want.exec {
						t.Errorf("%s: exec: %+v", text, v)
					}
				}
			}
		}
	}
}
