package pod

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"oci-timens/config"
	"oci-timens/internal/plan"
	"oci-timens/spec"
	"oci-timens/timens"
)

// TestByID has the containers of a pod agree, until the pod is forgotten.
func TestByID(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "oci-timens")
	open := func(r record) (*state, error) { return openIn([]string{dir}, r, os.Mkdir) }
	now := time.Duration(0)
	settle := func(id string) (timens.Offset, error) {
		now += time.Second
		zero := spec.Asked{Setting: timens.ReadsSetting(timens.Offset{})}
		a := plan.Ask{Request: spec.Request{Boottime: zero}, Config: config.Default(), Host: timens.Host{Clocks: timens.Clocks{Boottime: now}}}
		p, err := decideByID(id, a, func(a plan.Ask) (plan.Plan, error) { return plan.ForBundle(a, plan.Bundle{HookPath: "/hook"}) }, open)
		return p.Offsets.Boottime, err
	}
	forgets := func(id string) func() (int, error) {
		return func() (int, error) { return 0, forget([]string{dir}, id) }
	}
	retains := func(id string) func() (int, error) {
		return func() (int, error) { return retain([]string{dir}, func(name string) bool { return name == id }) }
	}
	for i, step := range []struct {
		before  func() (int, error)
		removed int
		id      string
		want    int64
	}{
		{forgets("a"), 0, "a", -1}, // before there is a folder
		{nil, 0, "a", -1},
		{nil, 0, "b", -3},
		{retains("b"), 1, "b", -3},
		{nil, 0, "a", -5},
		{forgets("b"), 0, "a", -5},
		{forgets("b"), 0, "b", -7},
		{retains("c"), 2, "a", -8},
	} {
		if step.before != nil {
			if n, err := step.before(); n != step.removed || err != nil {
				t.Errorf("step %d: removed %d, %v", i, n, err)
			}
		}
		if got, err := settle(step.id); got != offset(step.want, 0) || err != nil {
			t.Errorf("step %d: %s has %v, %v", i, step.id, got, err)
		}
	}
	chmod(t, filepath.Join(dir, byID), 0o777)
	if _, err := settle("a"); err == nil {
		t.Error("a folder that others can write to is used")
	}
}
