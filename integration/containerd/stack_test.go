package containerd

import (
	"os"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

const hour = time.Hour

// configured is what setting an engine up may write to.
var configured = []string{"/etc", "/usr/libexec/oci", "/var/lib/oci-timens"}

// TestEngine takes each containerd with each low-level runtime the whole way: set up,
// used, and taken out again.
func TestEngine(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, s)
			e.writeConfig()
			before := e.m.Snapshot(configured...)
			e.m.Run("timensctl", "configure", "containerd")
			e.checkTells(t)
			e.start()
			e.warmUp(t)
			empty := e.traces(t)

			t.Run("pod", e.testPod)
			t.Run("pod, other keys", e.testKeys)
			t.Run("ctr", e.testCtr)
			t.Run("nothing asked", e.testUntouched)
			t.Run("refused", e.testErrors)

			e.see(t, byCRI, sawGone, func(t *testing.T) { e.checkEmpty(t, empty) })
			e.see(t, byCRI, sawRemove, func(t *testing.T) { e.testRemove(t, before) })
		})
	}
}

// checkTells reads what timensctl check says of the engine.
func (e *engine) checkTells(t *testing.T) {
	t.Helper()
	exec := "✓ exec: it joins the container's time namespace"
	if e.stack.joinless() {
		exec = "✗ exec: runc 1.1.15+ds1 cannot join a time namespace: what is run by exec sees the host's clocks"
	}
	said := e.m.Run("timensctl", "check")
	_, said, _ = strings.Cut(said, "\n"+e.stack.engine()) // a build number may follow
	for _, want := range []string{": runtime timens, by " + mainConfig + "\n", "✓ init: ", exec, "✓ pods: one set of clocks for each pod"} {
		if !strings.Contains(said, want) {
			t.Errorf("check does not say %q: %s", want, said)
		}
	}
}

// warmUp lets everything be made that is made once.
func (e *engine) warmUp(t *testing.T) {
	t.Helper()
	p := newPod(t, "timens", map[string]string{"io.timens.boottime": "+1h"})
	if err := e.cri.RunPodSandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	e.container(t, p, &cri.Container{Name: "a"})
	e.removePod(t, p)
	e.m.Run("ctr", "run", "--rm", "--runc-binary", shim, image, "warm-up", "/probe")
}

// testPod runs two containers in a pod that asks for clocks, one of them twice.
func (e *engine) testPod(t *testing.T) {
	p := e.pod(t, "timens", map[string]string{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"})
	a, b := &cri.Container{Name: "a"}, &cri.Container{Name: "b"}
	var want machine.Clocks
	e.see(t, byCRI, sawInit, func(t *testing.T) {
		r := e.container(t, p, a)
		want = machine.Ahead(t, r)
		agree(t, "init", want, machine.Clocks{Monotonic: 36 * hour, Boottime: want.Boottime})
		young(t, r)
	})
	e.see(t, byCRI, sawExec, func(t *testing.T) { e.checkExec(t, a, want); e.tellJoins(t) })
	e.see(t, byCRI, sawPod, func(t *testing.T) {
		agree(t, "sandbox", e.sandbox(t, p), want)
		agree(t, "the second container", machine.Ahead(t, e.container(t, p, b)), want)
	})
	e.see(t, byCRI, sawExec, func(t *testing.T) { e.checkExec(t, b, want); e.tellJoins(t) })
	e.see(t, byCRI, sawInspect, func(t *testing.T) {
		for _, id := range []string{p.ID, a.ID, b.ID} {
			agree(t, "inspect", e.inspect(t, id), want)
		}
	})
	e.see(t, byCRI, sawRestart, func(t *testing.T) {
		if err := e.cri.StopContainer(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if err := e.cri.RemoveContainer(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		again := &cri.Container{Name: "a", Attempt: 1}
		agree(t, "init of the second attempt", machine.Ahead(t, e.container(t, p, again)), want)
		e.checkExec(t, again, want)
		agree(t, "inspect of the second attempt", e.inspect(t, again.ID), want)
	})
}

// young checks that a clock that was asked to read zero has not gone far.
func young(t *testing.T, r probe.Report) {
	t.Helper()
	if up := time.Duration(r.Boottime.VDSO); up < 0 || up > 20*time.Second {
		t.Errorf("CLOCK_BOOTTIME reads %v soon after it was zero", up)
	}
}

// testKeys runs pods that ask in all the other ways.
func (e *engine) testKeys(t *testing.T) {
	const crun = "run.oci.timens_offset"
	both := machine.Clocks{Monotonic: hour, Boottime: 2 * hour}
	e.see(t, byCRI, sawPod, func(t *testing.T) {
		p := e.pod(t, "timens", map[string]string{
			"io.timens.monotonic/pod": "+1h", "io.timens.boottime": "+2h", "io.timens.boottime/container.b": "+5d",
		})
		agree(t, "sandbox", e.sandbox(t, p), both)
		agree(t, "a", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "a"})), both)
		b, own := &cri.Container{Name: "b"}, machine.Clocks{Monotonic: hour, Boottime: 5 * 24 * hour}
		agree(t, "b, by its name", machine.Ahead(t, e.container(t, p, b)), own)
		e.checkExec(t, b, own)
	})
	e.see(t, byCRI, sawPod, func(t *testing.T) {
		p := e.pod(t, "timens", map[string]string{crun: "monotonic 3600 0\nboottime 7200 0"})
		agree(t, "sandbox", e.sandbox(t, p), both)
		agree(t, "a", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "a"})), both)
	})
	// As a device plugin does. The sandbox knows nothing of it.
	e.see(t, byCRI, sawPod, func(t *testing.T) {
		p := e.pod(t, "timens", nil)
		asks := map[string]string{"io.timens.boottime": "=0", "io.timens.monotonic/container.b": "+1h"}
		first := machine.Ahead(t, e.container(t, p, &cri.Container{Name: "a", Annotations: asks}))
		time.Sleep(20 * time.Millisecond)
		second := machine.Ahead(t, e.container(t, p, &cri.Container{Name: "b", Annotations: asks}))
		agree(t, "b", second, machine.Clocks{Monotonic: hour, Boottime: first.Boottime})
		agree(t, "sandbox", e.sandbox(t, p), machine.Clocks{})
		agree(t, "c", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "c"})), machine.Clocks{})
	})
	e.see(t, byCRI, sawPod, func(t *testing.T) {
		for _, share := range []func(*cri.Pod){
			func(p *cri.Pod) { p.SharedPID = true }, func(p *cri.Pod) { p.HostPID = true },
		} {
			p := newPod(t, "timens", map[string]string{"io.timens.boottime": "=0"})
			share(p)
			e.runPod(t, p)
			want := e.sandbox(t, p)
			o := &cri.Container{Name: "a"}
			agree(t, "a", machine.Ahead(t, e.container(t, p, o)), want)
			e.checkExec(t, o, want)
		}
	})
}

// testUntouched runs what asks for nothing, and what asks elsewhere.
func (e *engine) testUntouched(t *testing.T) {
	own, err := os.Readlink(e.m.Path("/proc/1/ns/time"))
	if err != nil {
		t.Fatal(err)
	}
	untouched := func(t *testing.T, r probe.Report) {
		t.Helper()
		if r.TimeNamespace != own || r.TimeForChildren != own {
			t.Errorf("in %s, children in %s, the machine in %s", r.TimeNamespace, r.TimeForChildren, own)
		}
		agree(t, "init", machine.Ahead(t, r), machine.Clocks{})
	}
	asks := map[string]string{"io.timens.boottime": "=0"}
	run := func(t *testing.T, handler string, annotations map[string]string) {
		t.Helper()
		p := e.pod(t, handler, annotations)
		o := &cri.Container{Name: "a", Annotations: annotations}
		untouched(t, e.container(t, p, o))
		agree(t, "exec", e.exec(t, o), machine.Clocks{})
		agree(t, "sandbox", e.sandbox(t, p), machine.Clocks{})
	}
	e.see(t, byCRI, sawNothing, func(t *testing.T) {
		run(t, "timens", nil)
		run(t, "timens", map[string]string{"example.com/other": "=0"})
	})
	e.see(t, byCtr, sawNothing, func(t *testing.T) {
		untouched(t, machine.Report(t, e.run(t, "ctr", "run", "--rm", "--runc-binary", shim, image, "asks-for-nothing", "/probe")))
	})
	// Where there is no program of ours, none can run.
	e.see(t, byCRI, sawNothing, func(t *testing.T) {
		e.run(t, "mkdir", "/aside")
		e.run(t, "mv", shim, "/usr/bin/timensctl", "/usr/libexec/oci/hooks.d/timens-hook", "/aside")
		defer e.run(t, "sh", "-c", "mv /aside/timens-hook /usr/libexec/oci/hooks.d/ && mv /aside/* /usr/bin/ && rmdir /aside")
		run(t, "", asks)
		run(t, "runc", asks)
		untouched(t, machine.Report(t, e.run(t, "ctr", "run", "--rm", "--annotation", "io.timens.boottime==0", image, "default", "/probe")))
	})
}

// testRemove takes the setup out, and checks that nothing is left of it.
func (e *engine) testRemove(t *testing.T, before machine.Files) {
	e.run(t, "timensctl", "configure", "containerd", "--remove")
	e.m.Snapshot(configured...).Same(t, before)
	e.restart()
	e.checkNoHandler(t)
}
