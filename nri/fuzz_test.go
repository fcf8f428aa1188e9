package nri

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/nri/pkg/api"

	"oci-timens/config"
	"oci-timens/internal/plan"
	"oci-timens/internal/pod"
	"oci-timens/spec"
)

// FuzzAsk: whatever an engine tells of a pod and a container is answered without a crash,
// nobody's annotations make the container another one's, and the hook understands what it
// is told. Annotations are lines of KEY, a space and the value.
func FuzzAsk(f *testing.F) {
	f.Add("io.timens.boottime =0\nio.timens.monotonic/container.a +1h", "", "0123abc", "a", "default", "pid\n")
	f.Add("io.timens.save db\nio.kubernetes.cri.sandbox-namespace other", "io.timens.boottime =0", "1", "a", "ns", "time /proc/1/ns/time")
	f.Add("x y", "run.oci.timens_offset boottime 5 0\nio.kubernetes.cri-o.ContainerType sandbox", "../x", "", "", "time")
	log, err := newLog(io.Discard, "error", "text")
	if err != nil {
		f.Fatal(err)
	}
	cfg := config.Default()
	cfg.SavedDir = f.TempDir()
	p := &Plugin{hook: "/hook", log: log, metrics: newMetrics("1"), pods: map[string]bool{}, load: func() (*config.Config, error) { return cfg, nil }}
	f.Fuzz(func(t *testing.T, ofPod, ofContainer, id, name, namespace, namespaces string) {
		box := &api.PodSandbox{Id: id, Name: "p", Namespace: namespace, Uid: "u", Annotations: lines(ofPod)}
		c := &api.Container{Id: "c", PodSandboxId: id, Name: name, Annotations: lines(ofContainer), Linux: &api.LinuxContainer{}}
		for line := range strings.SplitSeq(namespaces, "\n") {
			typ, path, _ := strings.Cut(line, " ")
			c.Linux.Namespaces = append(c.Linux.Namespaces, &api.LinuxNamespace{Type: typ, Path: path})
		}
		all, _ := annotationsOf(box, c)
		for key, of := range identities {
			if all[key] != of(box, c) {
				t.Errorf("%q is %q", key, all[key])
			}
		}
		if got, in, err := spec.Pod(all); err == nil && (!in || got != id && id != "") {
			t.Errorf("the pod is %q, %v, and not %q", got, in, id)
		}
		a, err := p.ask(box, c, pod.LookByID)
		if err != nil {
			if strings.HasPrefix(err.Error(), "cannot tell what clocks") {
				t.Errorf("crashed: %v", err)
			}
			return
		}
		if a.Save != "" && !strings.HasPrefix(a.Save, namespace+"/") {
			t.Errorf("in namespace %q the clocks are kept as %q", namespace, a.Save)
		}
		r, d, err := plan.ParseSettled(a.args)
		if err != nil || (a.Mechanism == plan.Hooks) != (len(a.args) > 0) || r.Save != a.Save || !d.IsZero() {
			t.Errorf("%v is told the hook by %q: %+v, %v", a.Plan, a.args, r, err)
		}
		if a.Mechanism == plan.Hooks {
			hooks := adjustment(p.hook, a.args, false, a.Save != "").GetHooks()
			if c.Hooks = hooks; !settled(p.hook, c) || !slices.Equal(hooks.GetCreateRuntime()[0].GetArgs()[2:], a.args) {
				t.Errorf("%v is not known again", hooks)
			}
		}
	})
}

func lines(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(line, " ")
		m[key] = value
	}
	return m
}
