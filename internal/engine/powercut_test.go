package engine

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// powerCut ends what is going on after a number of steps. Nothing is cleaned up.
type powerCut struct{}

// cutAfter reports whether the power was cut before f ended.
func cutAfter(h *Host, steps int, f func()) (cut bool) {
	h.step = func() {
		if steps--; steps == 0 {
			panic(powerCut{})
		}
	}
	defer func() {
		h.step = nil
		r := recover()
		if _, cut = r.(powerCut); !cut && r != nil {
			panic(r)
		}
	}()
	f()
	return false
}

// Between any two writes the power may fail: what is there then is valid, and
// --remove restores everything, also if it is cut itself.
func TestPowerCut(t *testing.T) {
	type change struct {
		name  string
		first *Options // what is set up before
		testCase
	}
	var changes []change
	for _, c := range cases {
		changes = append(changes, change{c.name, nil, c})
	}
	hook, shim := Options{Engine: Podman, Mode: ModeHook}, Options{Engine: Podman, Mode: ModeRuntime}
	device, docker := Options{Engine: Docker, Mode: ModeCDI}, Options{Engine: Docker, SetDefault: true}
	for _, c := range []struct{ from, to Options }{{hook, shim}, {shim, hook}, {device, docker}, {docker, device}} {
		changes = append(changes, change{"podman from " + c.from.Mode, &c.from, testCase{version: "Docker version 26.1.5", options: c.to,
			files: map[string]string{"/etc/docker/daemon.json": "{\"debug\": true}\n"}}})
	}
	for i, c := range changes {
		t.Run(fmt.Sprint(i, " ", c.name), func(t *testing.T) {
			for n, cut := 1, true; cut; n++ {
				h := c.machine(t)
				before := h.snapshot(t)
				if c.first != nil {
					configure(t, h, *c.first)
				}
				cut = cutAfter(h, n, func() { configure(t, h, c.options) })
				h.valid(t)
				check := func(what string) {
					t.Helper()
					configure(t, h, remove(c.options))
					if d := cmp.Diff(before, h.snapshot(t)); d != "" {
						t.Fatalf("left by --remove after %s %d (-before +after):\n%s", what, n, d)
					}
				}
				if n%2 == 0 { // half of them go on first
					configure(t, h, c.options)
				}
				check("step")
				configure(t, h, c.options)
				if cutAfter(h, n, func() { configure(t, h, remove(c.options)) }) {
					h.valid(t)
					cut = true
				}
				check("step of --remove")
			}
		})
	}
}

// A write that fails half way undoes what was done before it.
func TestWriteFails(t *testing.T) {
	for _, c := range cases {
		h := c.machine(t)
		r := configure(t, h, Options{Engine: c.options.Engine, Mode: c.options.Mode, SetDefault: c.options.SetDefault, AllContainers: c.options.AllContainers,
			Rootless: c.options.Rootless, Config: c.options.Config, DryRun: true})
		last := h.real(temporary(r.Changes[len(r.Changes)-1].Path)) + "/in/the/way"
		if err := os.MkdirAll(last, 0o755); err != nil {
			t.Fatal(err)
		}
		before := h.snapshot(t)
		if _, err := Configure(h, c.options); err == nil {
			t.Errorf("%s: no error", c.name)
		}
		if d := cmp.Diff(before, h.snapshot(t)); d != "" {
			t.Errorf("%s (-before +after):\n%s", c.name, d)
		}
	}
}
