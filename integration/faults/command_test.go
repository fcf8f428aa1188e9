package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"oci-timens/integration/machine"
)

// TestCommand disturbs who runs a program in a time namespace without a container: it
// never runs with other clocks, though nobody else ends it.
func TestCommand(t *testing.T) {
	trial := func(decide func(call) fault) (outcome, *trace, error) {
		dir := filepath.Join(base, fmt.Sprintf("command-%d", containers.Add(1)))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return refused, nil, err
		}
		g, err := newGate(dir)
		if err != nil {
			return refused, nil, err
		}
		x, err := g.follow(decide)
		if err != nil {
			return refused, nil, err
		}
		b := machine.Programs(t)
		argv := g.grandchild(b.Ctl, "run", "--monotonic", asking[1], "--boottime", asking[3], "--", b.Probe)
		r, err := finish(command(argv, "PATH="+os.Getenv("PATH")))
		if err = errors.Join(err, x.end(), os.RemoveAll(dir)); err != nil {
			return refused, x, err
		}
		if r.killed() {
			return refused, x, nil // whoever has started it sees it killed
		}
		o, err := judge(t, r, asked)
		return o, x, err
	}
	all := func(call) bool { return true }
	files := func(c call) bool { return names[c.nr] != "" && !untouchable[c.nr] }
	sweep{name: "timensctl run is killed", counts: all, faults: kills, trial: trial}.run(t)
	sweep{name: "timensctl run's files fail", counts: files, faults: errnos, trial: trial}.run(t)
}
