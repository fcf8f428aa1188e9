package engine

import (
	"slices"
	"testing"

	"oci-timens/internal/plan"
)

// TestContainersConf has configure and check say that podman may be told to read
// something else.
func TestContainersConf(t *testing.T) {
	const want = "CONTAINERS_CONF is set to /srv/c.conf: a podman that has this in its environment goes by that file, which is not looked at here"
	h := testCase{version: "podman version 5.4.2"}.machine(t)
	h.Environ = map[string]string{"CONTAINERS_CONF": "/srv/c.conf"}
	r, err := Configure(h, Options{Engine: Podman})
	if err != nil || !slices.Contains(r.Notes, want) {
		t.Errorf("%v, notes %q", err, r.Notes)
	}
	for _, s := range Check(h, nil) {
		if s.Engine == Podman && !slices.Contains(s.Problems, want) {
			t.Errorf("problems %q", s.Problems)
		}
	}
}

// TestShimNote has configure say that containers change their low-level runtime, and
// what becomes of them when the shim goes.
func TestShimNote(t *testing.T) {
	h := testCase{version: "podman version 5.4.2"}.machine(t)
	h.LowLevel = func(name string) (plan.Runtime, error) {
		if name == "crun" {
			return plan.Runtime{Name: "crun", Version: "1.21"}, nil
		}
		return plan.Runtime{Name: "runc", Version: "1.5.2"}, nil
	}
	const changes = `the shim starts runc 1.5.2, where podman itself starts crun 1.21: to keep that, name it first under "runtimes" in /etc/oci-timens/config.toml`
	for _, step := range []struct {
		options Options
		want    string
	}{
		{Options{Mode: ModeRuntime, SetDefault: true}, changes},
		{Options{Mode: ModeHook}, leftBehind[Podman]},
		{Options{Mode: ModeRuntime}, changes},
		{Options{Remove: true}, leftBehind[Podman]},
	} {
		step.options.Engine = Podman
		if r, err := Configure(h, step.options); err != nil || !slices.Contains(r.Notes, step.want) {
			t.Errorf("%+v: %v, notes %q, want %q", step.options, err, r.Notes, step.want)
		}
	}
}
