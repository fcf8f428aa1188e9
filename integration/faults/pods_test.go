package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// podFolder is where the clocks of pods are kept.
const podFolder = "/run/oci-timens/pods"

// sandbox runs the sandbox of a pod, which has no clocks of its own, and returns its
// process and what ends it.
func (r lowLevel) sandbox(t *testing.T, id string) (pid int, stop func() error, err error) {
	c, err := r.container(t, "hold")
	if err != nil {
		return 0, nil, err
	}
	c.ask("io.kubernetes.cri.container-type", "sandbox", "io.kubernetes.cri.sandbox-id", id)
	if err := c.write(); err != nil {
		return 0, nil, err
	}
	file := filepath.Join(c.dir, "pid")
	made, err := c.detached("create", "--bundle", c.bundle(), "--pid-file", file, c.id)
	if err == nil && made.exit == 0 {
		made, err = c.call(false, "start", c.id)
	}
	if err != nil || made.exit != 0 {
		return 0, nil, fmt.Errorf("%v, %w", made, err)
	}
	if text, err := os.ReadFile(file); err != nil {
		return 0, nil, err
	} else if _, err := fmt.Sscan(string(text), &pid); err != nil {
		return 0, nil, err
	}
	return pid, func() error { return errors.Join(c.stop(), c.gone(false), c.remove()) }, nil
}

// TestPods disturbs the first container of a pod whose sandbox has no clocks. Those that
// come after it have the same as each other, and as it if it has started.
func TestPods(t *testing.T) {
	for _, r := range lowLevels(t) {
		for _, shimmed := range []bool{false, true} {
			id := strings.NewReplacer(".", "-").Replace(fmt.Sprintf("%s-%v", r.key, shimmed))
			pid, stop, err := r.sandbox(t, id)
			if err != nil {
				t.Fatal(err)
			}
			trial := r.podTrial(t, id, pid, shimmed)
			name := fmt.Sprintf("%s: pods: %s", r.key, map[bool]string{false: "hook", true: "shim"}[shimmed])
			sweep{name: name + " is killed", counts: everyCall, faults: kills, trial: trial, alone: true}.run(t)
			sweep{name: name + "'s files fail", counts: fileCalls, faults: errnos, trial: trial, alone: true}.run(t)
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
}

// member makes a container of a pod.
func (r lowLevel) member(t *testing.T, id string, sandbox int, shimmed, disturbed bool) (*container, error) {
	c, err := r.container(t)
	if err != nil {
		return nil, err
	}
	for i, ns := range c.spec.Linux.Namespaces {
		if ns.Type == "ipc" || ns.Type == "uts" {
			c.spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", sandbox, ns.Type)
		}
	}
	c.ask("io.kubernetes.cri.container-type", "container", "io.kubernetes.cri.container-name", "app",
		"io.kubernetes.cri.sandbox-id", id, "io.timens.boottime", "=0")
	if c.shimmed = shimmed; !shimmed {
		c.hook("createRuntime", disturbed)
	}
	return c, c.write()
}

func (r lowLevel) podTrial(t *testing.T, id string, sandbox int, shimmed bool) func(decide func(call) fault) (outcome, *trace, error) {
	return func(decide func(call) fault) (o outcome, x *trace, err error) {
		for _, name := range listing(podFolder) {
			if err := os.Remove(filepath.Join(podFolder, name)); err != nil {
				return refused, nil, err
			}
		}
		var all []machine.Clocks
		for i := range 3 {
			c, err := r.member(t, id, sandbox, shimmed && i == 0, i == 0)
			if err != nil {
				return o, x, err
			}
			var got result
			if i == 0 {
				got, x, err = c.attempt(decide)
			} else {
				got, err = c.run(false)
			}
			switch {
			case err != nil:
				return o, x, err
			case got.stdout != "":
				all = append(all, machine.Ahead(t, machine.Report(t, got.stdout)))
				if i == 0 {
					o = started
				}
			case i > 0 || got.exit == 0 || got.stderr == "":
				return o, x, fmt.Errorf("container %d: %v", i, got)
			}
			if err := errors.Join(c.gone(i == 0), c.remove()); err != nil {
				return o, x, err
			}
		}
		for _, one := range all {
			if !one.Near(all[0]) || one.Boottime >= 0 || one.Monotonic.Abs() > time.Millisecond {
				return o, x, fmt.Errorf("CONTAINERS OF ONE POD HAVE CLOCKS THAT ARE AHEAD BY %+v", all)
			}
		}
		if names := listing(podFolder); len(names) != 1 || !strings.HasPrefix(names[0], id+".") {
			return o, x, fmt.Errorf("left are %q", names)
		}
		return o, x, nil
	}
}
