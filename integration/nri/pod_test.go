package nri

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

const hour = time.Hour

// TestPods takes each containerd with each low-level runtime through the life of pods.
func TestPods(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, s, "")
			t.Run("a pod", e.testPod)
			t.Run("other keys", e.testKeys)
			t.Run("shared namespaces", e.testShared)
			t.Run("nothing asked", e.testUntouched)
			t.Run("restarts", e.testRestarts)
			if left := e.keeps(t); left != nil {
				t.Errorf("records of pods are left: %q", left)
			}
			if text, err := e.get("/metrics"); err != nil || !strings.Contains(text, "timens_nri_pods_with_clocks 0\n") {
				t.Errorf("%v: %s", err, text)
			}
		})
	}
}

// testPod runs two containers in a pod that asks for clocks, one of them twice.
func (e *engine) testPod(t *testing.T) {
	p := e.pod(t, map[string]string{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"})
	a, b := &cri.Container{Name: "a"}, &cri.Container{Name: "b"}
	r := e.container(t, p, a)
	want := machine.Ahead(t, r)
	agree(t, "init", want, machine.Clocks{Monotonic: 36 * hour, Boottime: want.Boottime})
	if up := time.Duration(r.Boottime.VDSO); up < 0 || up > 20*time.Second {
		t.Errorf("CLOCK_BOOTTIME reads %v soon after it was zero", up)
	}
	e.checkExec(t, a, want)
	time.Sleep(20 * time.Millisecond)
	agree(t, "the second container", e.init(t, p, b), want)
	e.checkExec(t, b, want)
	e.checkSpec(t, b)
	again, got := e.again(t, p, a)
	agree(t, "the second attempt", got, want)
	e.checkExec(t, again, want)
	// What the container's own annotations have become does not matter.
	p.Annotations = map[string]string{"io.timens.boottime": "+5d"}
	agree(t, "a container after an edit", e.init(t, p, &cri.Container{Name: "c", Annotations: p.Annotations}), want)
	if names := e.keeps(t); !slices.Equal(names, []string{p.ID}) {
		t.Errorf("kept is %q, want %s", names, p.ID)
	}
}

// checkSpec looks at how a container got its clocks, when another has before.
func (e *engine) checkSpec(t *testing.T, o *cri.Container) {
	t.Helper()
	spec := e.m.Run("ctr", "-n", "k8s.io", "container", "info", o.ID)
	byTime := e.stack.version == "2.4.2" && e.stack.runtime == runcNew
	if strings.Contains(spec, `"type": "time"`) != byTime || strings.Contains(spec, `"poststart"`) == byTime {
		t.Errorf("config.json, where a time namespace is %v: %s", byTime, spec)
	}
}

// testKeys runs pods that ask in all the other ways.
func (e *engine) testKeys(t *testing.T) {
	both := machine.Clocks{Monotonic: hour, Boottime: 2 * hour}
	p := e.pod(t, map[string]string{
		"io.timens.monotonic/pod": "+1h", "io.timens.boottime": "+2h", "io.timens.boottime/container.b": "+5d",
	})
	agree(t, "a", e.init(t, p, &cri.Container{Name: "a"}), both)
	b, own := &cri.Container{Name: "b"}, machine.Clocks{Monotonic: hour, Boottime: 5 * 24 * hour}
	agree(t, "b, by its name", e.init(t, p, b), own)
	e.checkExec(t, b, own)

	p = e.pod(t, map[string]string{"run.oci.timens_offset": "monotonic 3600 0\nboottime 7200 0"})
	agree(t, "as crun took it", e.init(t, p, &cri.Container{Name: "a"}), both)

	// As a device plugin does.
	p = e.pod(t, nil)
	asks := map[string]string{"io.timens.monotonic": "+1h", "io.timens.boottime": "=0"}
	first := e.init(t, p, &cri.Container{Name: "a", Annotations: asks})
	agree(t, "a container's own", e.init(t, p, &cri.Container{Name: "b", Annotations: asks}), machine.Clocks{Monotonic: hour, Boottime: first.Boottime})
	agree(t, "another", e.init(t, p, &cri.Container{Name: "c"}), machine.Clocks{})
}

// testShared runs pods whose containers have no pid namespace of their own.
func (e *engine) testShared(t *testing.T) {
	for name, share := range map[string]func(*cri.Pod){
		"shared": func(p *cri.Pod) { p.SharedPID = true }, "the host's": func(p *cri.Pod) { p.HostPID = true },
	} {
		p := newPod(t, map[string]string{"io.timens.monotonic": "+1h"})
		share(p)
		e.runPod(t, p)
		o, want := &cri.Container{Name: "a"}, machine.Clocks{Monotonic: hour}
		agree(t, name+": init", e.init(t, p, o), want)
		e.checkExec(t, o, want)
		spec := e.m.Run("ctr", "-n", "k8s.io", "container", "info", o.ID)
		if strings.Contains(spec, `"type": "time"`) {
			t.Errorf("%s: a time namespace was added", name)
		}
	}
}

// testUntouched runs what asks for nothing, and compares with what there is without the
// plugin.
func (e *engine) testUntouched(t *testing.T) {
	own, err := os.Readlink(e.m.Path("/proc/1/ns/time"))
	if err != nil {
		t.Fatal(err)
	}
	for _, annotations := range []map[string]string{nil, {"example.com/io.timens.boottime": "=0", "io.timensx": "1"}} {
		p := e.pod(t, annotations)
		o := &cri.Container{Name: "a"}
		r := e.container(t, p, o)
		if r.TimeNamespace != own || r.TimeForChildren != own {
			t.Errorf("in %s, children in %s, the machine in %s", r.TimeNamespace, r.TimeForChildren, own)
		}
		agree(t, "init", machine.Ahead(t, r), machine.Clocks{})
		spec := e.m.Run("ctr", "-n", "k8s.io", "container", "info", o.ID)
		if strings.Contains(spec, "timens-hook") || strings.Contains(spec, `"type": "time"`) {
			t.Errorf("config.json: %s", spec)
		}
	}
}

// testRestarts ends and starts the plugin and containerd while a pod runs.
func (e *engine) testRestarts(t *testing.T) {
	p := e.pod(t, map[string]string{"io.timens.boottime": "=0"})
	o := &cri.Container{Name: "a"}
	want := e.init(t, p, o)
	steps := []struct {
		name string
		do   func()
	}{
		{"the plugin", func() { e.plugin.Stop(); e.startPlugin() }},
		{"the plugin, killed", func() { e.plugin.Signal(9); time.Sleep(100 * time.Millisecond); e.startPlugin() }},
		{"containerd", func() { e.daemon.Stop(); e.start(); e.awaitPlugin() }},
	}
	for i, s := range steps {
		s.do()
		if names := e.keeps(t); !slices.Equal(names, []string{p.ID}) {
			t.Errorf("%s: kept is %q, want %s", s.name, names, p.ID)
		}
		agree(t, s.name+": another container", e.init(t, p, &cri.Container{Name: fmt.Sprint("b", i)}), want)
		e.checkExec(t, o, want)
		var got machine.Clocks
		o, got = e.again(t, p, o)
		agree(t, s.name+": another attempt", got, want)
		if text, err := e.get("/metrics"); err != nil || !strings.Contains(text, "timens_nri_pods_with_clocks 1\n") {
			t.Errorf("%v: %s", err, text)
		}
	}
	// containerd tells no plugin of the end of pods that ran before it was started
	// (2.4.2, internal/nri/nri.go, needsStopping): that is found out by the next one.
	e.removePod(t, p)
	e.plugin.Stop()
	e.startPlugin()
}
