package engine

import (
	"slices"
	"testing"
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
