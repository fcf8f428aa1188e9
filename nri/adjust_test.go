package nri

import (
	"maps"
	"slices"
	"testing"

	"github.com/containerd/nri/pkg/api"
	"github.com/google/go-cmp/cmp"

	"oci-timens/internal/lowlevel"
	"oci-timens/spec"
)

func TestAnnotationsOf(t *testing.T) {
	pod := &api.PodSandbox{Id: "1", Name: "p", Namespace: "n", Uid: "u"}
	c := &api.Container{Name: "a"}
	const mono, boot = "io.timens.monotonic", "io.timens.boottime"
	for name, tt := range map[string]struct {
		pod, container, want map[string]string
		notes                int
	}{
		"nothing":            {nil, nil, map[string]string{}, 0},
		"the pod's":          {map[string]string{boot: "=0", "x": "y"}, nil, map[string]string{boot: "=0", "x": "y"}, 0},
		"a device plugin's":  {map[string]string{"x": "y"}, map[string]string{boot: "=0", "x": "z"}, map[string]string{boot: "=0", "x": "z"}, 0},
		"passed through":     {map[string]string{boot: "=0"}, map[string]string{boot: "=0"}, map[string]string{boot: "=0"}, 0},
		"edited since":       {map[string]string{boot: "=0"}, map[string]string{boot: "+1h", mono: "+1h"}, map[string]string{boot: "=0"}, 1},
		"forged identity":    {map[string]string{"io.kubernetes.cri.sandbox-id": "2"}, map[string]string{"io.kubernetes.pod.namespace": "x"}, map[string]string{}, 0},
		"of a key like ours": {map[string]string{"io.timens/x": ""}, map[string]string{mono: "+1h"}, map[string]string{"io.timens/x": ""}, 1},
	} {
		pod.Annotations, c.Annotations = tt.pod, tt.container
		got, notes := annotationsOf(pod, c)
		want := map[string]string{
			"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": "a",
			"io.kubernetes.cri.sandbox-id": "1", "io.kubernetes.cri.sandbox-name": "p",
			"io.kubernetes.cri.sandbox-namespace": "n", "io.kubernetes.cri.sandbox-uid": "u",
			"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.ContainerName": "a",
			"io.kubernetes.cri-o.SandboxID": "1", "io.kubernetes.cri-o.Namespace": "n",
			"io.kubernetes.container.name": "a", "io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "n", "io.kubernetes.pod.uid": "u",
		}
		maps.Copy(want, tt.want)
		if d := cmp.Diff(want, got); d != "" || len(notes) != tt.notes {
			t.Errorf("%s: %q\n%s", name, notes, d)
		}
		if id, in, err := spec.Pod(got); id != "1" || !in || err != nil {
			t.Errorf("%s: pod %q, %v, %v", name, id, in, err)
		}
	}
}

func TestAdjustment(t *testing.T) {
	args := []string{"monotonic=+1h", "boottime=-2s"}
	for _, time := range []bool{false, true} {
		a := adjustment("/hook", args, time, !time)
		c := &api.Container{Hooks: a.Hooks}
		want := []string{"timens-hook", "createRuntime", "monotonic=+1h", "boottime=-2s"}
		if h := a.Hooks.CreateRuntime; len(h) != 1 || h[0].Path != "/hook" || !slices.Equal(h[0].Args, want) {
			t.Errorf("createRuntime: %v", h)
		}
		for _, h := range slices.Concat(a.Hooks.CreateRuntime, a.Hooks.Poststart, a.Hooks.Poststop) {
			if !slices.Equal(h.Env, []string{"GOMAXPROCS=1"}) {
				t.Errorf("environment: %q", h.Env)
			}
		}
		want[1] = "poststart"
		if h := a.Hooks.Poststart; time != (len(h) == 0) || !time && !slices.Equal(h[0].Args, want) {
			t.Errorf("poststart: %v", h)
		}
		want[1] = "poststop"
		if h := a.Hooks.Poststop; time != (len(h) == 0) || !time && !slices.Equal(h[0].Args, want) {
			t.Errorf("poststop: %v", h)
		}
		if ns := a.GetLinux().GetNamespaces(); time != (len(ns) == 1 && ns[0].Type == "time" && ns[0].Path == "") {
			t.Errorf("namespaces: %v", ns)
		}
		if len(a.Annotations)+len(a.Env)+len(a.Mounts)+len(a.Args) > 0 {
			t.Errorf("also %v", a)
		}
		if !settled("/hook", c) || settled("/other", c) {
			t.Error("not known again")
		}
	}
	// As an OCI hook's file or the shim adds it, it decides by itself.
	alone := &api.Container{Hooks: &api.Hooks{CreateRuntime: []*api.Hook{{Path: "/hook", Args: []string{"timens-hook", "createRuntime"}}}}}
	if settled("/hook", alone) || settled("/hook", &api.Container{}) {
		t.Error("taken for settled")
	}
}

func TestTakesTime(t *testing.T) {
	runc, old, crun := lowlevel.Runtime{Name: "runc", Version: "1.2.6"}, lowlevel.Runtime{Name: "runc", Version: "1.2.5"}, lowlevel.Runtime{Name: "crun", Version: "1.21"}
	own := []*api.LinuxNamespace{{Type: "ipc", Path: "/x"}, {Type: "pid"}}
	for _, tt := range []struct {
		known []lowlevel.Runtime
		ns    []*api.LinuxNamespace
		want  bool
	}{
		{nil, own, false},
		{[]lowlevel.Runtime{runc}, own, true},
		{[]lowlevel.Runtime{runc, old}, own, false},
		{[]lowlevel.Runtime{crun, runc}, own, false},
		{[]lowlevel.Runtime{runc}, []*api.LinuxNamespace{{Type: "pid", Path: "/proc/1/ns/pid"}}, false},
		{[]lowlevel.Runtime{runc}, nil, false},
	} {
		if got := takesTime(&api.Container{Linux: &api.LinuxContainer{Namespaces: tt.ns}}, tt.known); got != tt.want {
			t.Errorf("%v, %v: %v", tt.known, tt.ns, got)
		}
	}
	for nri, want := range map[string]bool{"": false, "0.0.0-unknown": false, "v0.12.1": false, "v0.12.2": true, "v0.13.0-rc.1": true, "(devel)": false} {
		if mayAddTime(nri) != want {
			t.Errorf("NRI %q: %v", nri, !want)
		}
	}
}
