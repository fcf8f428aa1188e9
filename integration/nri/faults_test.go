package nri

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

// required has containerd create no container without the plugin, but for those that
// tolerate it (nri 0.12.3, plugins/default-validator). Containerd has it since 2.2.
const required = `[plugins.'io.containerd.nri.v1.nri'.default_validator]
  enable = true
  required_plugins = ['timens']
  tolerate_missing_plugins_annotation = 'tolerate-missing-plugins.noderesource.dev'
`

// TestAbsent stops the plugin, and runs what asks for clocks and what does not.
func TestAbsent(t *testing.T) {
	t.Parallel()
	asks := map[string]string{"io.timens.monotonic": "+1h"}
	t.Run("nothing is required", func(t *testing.T) {
		for _, s := range []stack{stacks[0], stacks[3]} {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				e := newEngine(t, s, "")
				e.plugin.Stop()
				p := e.pod(t, asks)
				agree(t, "without the plugin", e.init(t, p, &cri.Container{Name: "a"}), machine.Clocks{})
				early := &cri.Container{Name: "b", Image: image}
				if err := e.cri.CreateContainer(t.Context(), p, early); err != nil {
					t.Fatal(err)
				}
				e.startPlugin()
				if log := e.plugin.Log(); strings.Count(log, "the container was created without timens-nri, and has other clocks than its pod asks for: create it again") != 2 {
					t.Errorf("the log says %s", log)
				}
				const refused = "timens-nri: the container was created while timens-nri could not be asked, and would start with other clocks than its pod asks for: create it again"
				if err := e.cri.StartContainer(t.Context(), early); err == nil || !strings.Contains(err.Error(), refused) {
					t.Errorf("%v, want %s", err, refused)
				}
				again, got := e.again(t, p, early)
				agree(t, "created again", got, machine.Clocks{Monotonic: hour})
				e.checkExec(t, again, got)
			})
		}
	})
	t.Run("it is required", func(t *testing.T) {
		t.Parallel()
		e := newEngine(t, stacks[0], required)
		agree(t, "with the plugin", e.init(t, e.pod(t, asks), &cri.Container{Name: "a"}), machine.Clocks{Monotonic: hour})
		e.plugin.Stop()
		const missing = `validation error: required plugin "timens" not present`
		e.refused(t, e.pod(t, asks), "a", missing)
		e.refused(t, e.pod(t, nil), "a", missing)
		e.init(t, e.pod(t, map[string]string{"tolerate-missing-plugins.noderesource.dev": "true"}), &cri.Container{Name: "a"})
	})
	t.Run("a pod requires it", func(t *testing.T) {
		t.Parallel()
		e := newEngine(t, stacks[0], strings.Replace(required, "required_plugins = ['timens']", "", 1))
		e.plugin.Stop()
		p := e.pod(t, map[string]string{"io.timens.monotonic": "+1h", "required-plugins.noderesource.dev": "[timens]"})
		e.refused(t, p, "a", `validation error: required plugin "timens" not present`)
		e.init(t, e.pod(t, nil), &cri.Container{Name: "a"})
		e.startPlugin()
		agree(t, "with the plugin", e.init(t, p, &cri.Container{Name: "a"}), machine.Clocks{Monotonic: hour})
	})
}

// TestSlow stops the plugin in the middle of a request, and lets it go on or kills it.
// containerd waits for two seconds, and creates the container without: also where the
// plugin is required, as it was there (nri 0.12.3, adaptation.CreateContainer).
func TestSlow(t *testing.T) {
	t.Parallel()
	for name, nri := range map[string]string{"nothing is required": "", "it is required": required} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, stacks[0], nri)
			signal := func(s string) { e.m.Run("sh", "-c", "kill -"+s+" $(busybox pidof timens-nri)") }
			restart := func() {
				// As somebody's child that does not stop with it.
				e.plugin = e.m.Start("sh", "-c", "timens-nri & wait")
				e.awaitPlugin()
			}
			e.plugin.Stop()
			restart()
			p := e.pod(t, map[string]string{"io.timens.boottime": "=0"})
			want := e.init(t, p, &cri.Container{Name: "a"})
			during := func(name, end string) {
				t.Helper()
				o := &cri.Container{Name: name, Image: image}
				signal("STOP")
				if end == "KILL" {
					time.AfterFunc(time.Second, func() { signal(end) })
				}
				if err := e.cri.CreateContainer(t.Context(), p, o); err != nil {
					t.Fatal(err)
				}
				if end == "KILL" {
					restart()
				} else {
					signal(end)
					e.awaitPlugin()
				}
				const refused = "the container was created while timens-nri could not be asked"
				if err := e.cri.StartContainer(t.Context(), o); err == nil || !strings.Contains(err.Error(), refused) {
					t.Errorf("%s: %v, want %s", name, err, refused)
				}
			}
			during("slow", "CONT")
			during("killed", "KILL")
			agree(t, "afterwards", e.init(t, p, &cri.Container{Name: "b"}), want)
		})
	}
}

// TestLocked has somebody else hold the records: the answer must come in time.
func TestLocked(t *testing.T) {
	t.Parallel()
	e := newEngine(t, stacks[0], "")
	p := e.pod(t, map[string]string{"io.timens.boottime": "=0"})
	want := e.init(t, p, &cri.Container{Name: "a"})
	e.m.Start("flock", kept, "sleep", "3").Await(func() error {
		if _, err := e.m.Try("flock", "--nonblock", kept, "true"); err == nil {
			return errors.New("nobody has locked the folder")
		}
		return nil
	})
	e.refused(t, p, "b", kept+"/. has been locked for 1s by another process: see who holds it (lslocks)")
	e.m.Run("flock", kept, "true")
	agree(t, "afterwards", e.init(t, p, &cri.Container{Name: "b"}), want)
}

// TestBoth has a pod run by the shim while the plugin is there.
func TestBoth(t *testing.T) {
	t.Parallel()
	e := newEngine(t, stacks[0], `[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.timens]
  runtime_type = 'io.containerd.runc.v2'
  pod_annotations = ['io.timens.*', 'io.timens.*/*']
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.timens.options]
  BinaryName = '/usr/bin/timens-runc'
`)
	e.m.Install()
	p := newPod(t, map[string]string{"io.timens.monotonic": "+1h", "io.timens.boottime": "=0", "io.timens.monotonic/container.c": "+3h"})
	p.Handler = "timens"
	e.runPod(t, p)
	time.Sleep(20 * time.Millisecond)
	pid, err := e.cri.SandboxPID(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := machine.Ahead(t, machine.Report(t, e.m.Run("nsenter", "--time", "--target", fmt.Sprint(pid), "--", "probe")))
	for _, name := range []string{"a", "b", "c"} {
		o := &cri.Container{Name: name}
		want := want
		if name == "c" {
			want.Monotonic = 3 * hour
		}
		agree(t, name, e.init(t, p, o), want)
		e.checkExec(t, o, want)
	}
}

// TestTwo has two of the plugin at once, as while a DaemonSet is updated, and then the
// second alone, which sees no process but its own.
func TestTwo(t *testing.T) {
	t.Parallel()
	e := newEngine(t, stacks[0], "")
	second := e.m.Start("unshare", "--pid", "--mount-proc", "--fork", "--kill-child",
		"setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs", "timens-nri", "--listen", "127.0.0.1:9465")
	second.Await(func() error {
		_, err := e.m.Try("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:9465/readyz")
		return err
	})
	p := e.pod(t, map[string]string{"io.timens.monotonic": "+1h", "io.timens.boottime": "=0"})
	want := e.init(t, p, &cri.Container{Name: "a"})
	for _, name := range []string{"b", "c"} {
		o := &cri.Container{Name: name}
		agree(t, name, e.init(t, p, o), want)
		e.checkExec(t, o, want)
		if spec := e.m.Run("ctr", "-n", "k8s.io", "container", "info", o.ID); strings.Count(spec, `"createRuntime"`) != 2 {
			t.Errorf("config.json: %s", spec) // once as a stage, once as an argument
		}
	}
	e.plugin.Stop()
	agree(t, "by the second alone", e.init(t, p, &cri.Container{Name: "d"}), want)
}
