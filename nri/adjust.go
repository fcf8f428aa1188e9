package nri

import (
	"slices"
	"strings"

	"github.com/containerd/nri/pkg/api"

	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/spec"
)

const hookName = "timens-hook" // its first argument

// annotationsOf returns what is asked for a container, and by whom. The author of a pod
// can write anything in its annotations, so who it is about is said by the engine.
//
// Of this project's keys the pod's count, as its sandbox was created with: containerd may
// hand a container those that were edited since. Those of a container alone are a device
// plugin's, and count where the pod says nothing.
func annotationsOf(pod *api.PodSandbox, c *api.Container) (all map[string]string, notes []string) {
	all = make(map[string]string, len(pod.GetAnnotations())+len(c.GetAnnotations())+len(identities))
	asks := false
	for k, v := range pod.GetAnnotations() {
		all[k] = v
		asks = asks || spec.IsOwnKey(k)
	}
	for k, v := range c.GetAnnotations() {
		if !spec.IsOwnKey(k) || !asks {
			all[k] = v
		} else if all[k] != v {
			notes = append(notes, "the container's own annotations that ask for clocks do not count, for its pod asks for clocks as well")
		}
	}
	for k, of := range identities {
		all[k] = of(pod, c)
	}
	slices.Sort(notes)
	return all, slices.Compact(notes)
}

// identities are the keys by which engines say in config.json what a container is, so
// that rules of the policy mean the same here: of containerd (2.4.2,
// internal/cri/annotations), CRI-O (1.35, pkg/annotations) and the kubelet's labels,
// which CRI-O makes annotations of.
var identities = map[string]func(*api.PodSandbox, *api.Container) string{
	"io.kubernetes.cri.container-type":    typeContainer,
	"io.kubernetes.cri.container-name":    containerName,
	"io.kubernetes.cri.sandbox-id":        podID,
	"io.kubernetes.cri.sandbox-name":      podName,
	"io.kubernetes.cri.sandbox-namespace": podNamespace,
	"io.kubernetes.cri.sandbox-uid":       podUID,
	"io.kubernetes.cri-o.ContainerType":   typeContainer,
	"io.kubernetes.cri-o.ContainerName":   containerName,
	"io.kubernetes.cri-o.SandboxID":       podID,
	"io.kubernetes.cri-o.Namespace":       podNamespace,
	"io.kubernetes.container.name":        containerName,
	"io.kubernetes.pod.name":              podName,
	"io.kubernetes.pod.namespace":         podNamespace,
	"io.kubernetes.pod.uid":               podUID,
}

func typeContainer(*api.PodSandbox, *api.Container) string     { return "container" }
func containerName(_ *api.PodSandbox, c *api.Container) string { return c.GetName() }
func podID(p *api.PodSandbox, _ *api.Container) string         { return p.GetId() }
func podName(p *api.PodSandbox, _ *api.Container) string       { return p.GetName() }
func podNamespace(p *api.PodSandbox, _ *api.Container) string  { return p.GetNamespace() }
func podUID(p *api.PodSandbox, _ *api.Container) string        { return p.GetUid() }

// timeOf is what a container is to have without this plugin.
func timeOf(c *api.Container) (t spec.TimeSpec) {
	for _, n := range c.GetLinux().GetNamespaces() {
		if n.GetType() == "time" {
			t.Path = n.GetPath()
		}
	}
	return t
}

// takesTime tells whether a container may be given a time namespace, in place of the
// poststart hook. An engine does not say which low-level runtime will start it, and with
// the wrong one the container does not start. So it has to be one of those that the
// poststart hook has come across on this machine, all of which must be able to; and the
// container must have a new pid namespace, as crun else makes one for it.
func takesTime(c *api.Container, known []lowlevel.Runtime) bool {
	for _, r := range known {
		if !(plan.Runtime{Name: r.Name, Version: r.Version}).Native() {
			return false
		}
	}
	return len(known) > 0 && slices.ContainsFunc(c.GetLinux().GetNamespaces(), func(n *api.LinuxNamespace) bool {
		return n.GetType() == "pid" && n.GetPath() == ""
	})
}

// adjustment has timens-hook give the container what args say. With a time namespace,
// which the hook's takes the place of, runc's exec joins by itself, and poststart has
// nothing to do. Where the clocks are to be kept, the hook does that in the end.
func adjustment(path string, args []string, timeSpace, keeps bool) *api.ContainerAdjustment {
	hook := func(stage string) []*api.Hook {
		return []*api.Hook{{Path: path, Args: append([]string{hookName, stage}, args...), Env: []string{plan.HookVariable}}}
	}
	a := &api.ContainerAdjustment{}
	a.AddHooks(&api.Hooks{CreateRuntime: hook("createRuntime")})
	if timeSpace {
		a.AddOrReplaceNamespace(&api.LinuxNamespace{Type: "time"})
	} else {
		a.AddHooks(&api.Hooks{Poststart: hook("poststart")})
	}
	if keeps {
		a.AddHooks(&api.Hooks{Poststop: hook("poststop")})
	}
	return a
}

// settled tells whether a container has what adjustment adds.
func settled(path string, c *api.Container) bool {
	return slices.ContainsFunc(c.GetHooks().GetCreateRuntime(), func(h *api.Hook) bool {
		a := h.GetArgs()
		return h.GetPath() == path && len(a) > 2 && a[0] == hookName && strings.Contains(a[2], "=")
	})
}
