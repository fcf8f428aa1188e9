package containerd

import (
	"os"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// testCtr does the same with ctr, which knows no pods, and needs no setup.
func (e *engine) testCtr(t *testing.T) {
	const id = "by-ctr"
	ctr := func(t *testing.T, args ...string) string { return e.run(t, append([]string{"ctr"}, args...)...) }
	ends := func(t *testing.T) { ctr(t, "task", "rm", "--force", id) }
	log := "/root/by-ctr.log"
	report := func(t *testing.T) probe.Report {
		for range 500 {
			if text, err := os.ReadFile(e.m.Path(log)); err == nil && strings.HasSuffix(string(text), "}\n") {
				return machine.Report(t, string(text))
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("the container has not reported")
		return probe.Report{}
	}
	exec := func(t *testing.T, name string) machine.Clocks {
		return machine.Ahead(t, machine.Report(t, ctr(t, "task", "exec", "--exec-id", name, id, "/probe")))
	}
	var want machine.Clocks
	e.see(t, byCtr, sawInit, func(t *testing.T) {
		ctr(t, "run", "--detach", "--log-uri", "file://"+log, "--runc-binary", shim,
			"--annotation", "io.timens.boottime==0", "--annotation", "io.timens.monotonic=-1m0.25s", image, id)
		r := report(t)
		want = machine.Ahead(t, r)
		agree(t, "init", want, machine.Clocks{Monotonic: -60250 * time.Millisecond, Boottime: want.Boottime})
		young(t, r)
	})
	e.see(t, byCtr, sawExec, func(t *testing.T) { e.execAgrees(t, exec(t, "first"), want); e.tellJoins(t) })
	e.see(t, byCtr, sawInspect, func(t *testing.T) { agree(t, "inspect", e.inspect(t, id), want) })
	e.see(t, byCtr, sawRestart, func(t *testing.T) {
		ends(t)
		e.run(t, "rm", log)
		ctr(t, "task", "start", "--detach", "--log-uri", "file://"+log, id)
		r := report(t)
		again := machine.Ahead(t, r)
		young(t, r)
		if again.Boottime >= want.Boottime {
			t.Errorf("a clock that begins at zero is ahead by %v after a restart, and was by %v before", again.Boottime, want.Boottime)
		}
		agree(t, "init", again, machine.Clocks{Monotonic: want.Monotonic, Boottime: again.Boottime})
		e.execAgrees(t, exec(t, "second"), again)
		agree(t, "inspect", e.inspect(t, id), again)
		ends(t)
		ctr(t, "container", "rm", id)
		e.run(t, "rm", log)
	})
}
