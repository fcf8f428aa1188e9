package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// inNamespace says in which Kubernetes namespace the container is, as containerd does.
func (c *container) inNamespace(name string) *container {
	annotate(c.spec, "io.kubernetes.cri.sandbox-namespace", name)
	return c
}

// saving has a pod's container keep its clocks in a folder.
func (c *container) saving(dir string) *container {
	c.toml = fmt.Sprintf("saved-dir = %q\n", dir)
	c.keep("db")
	annotate(c.spec, "io.timens.monotonic", "+9h")
	return c
}

// TestResumePod has the containers of one pod after the other have one set of clocks,
// which goes on from pod to pod of a namespace. The sandbox has the annotations of its
// pod with containerd, and none with podman.
func TestResumePod(t *testing.T) {
	for _, annotated := range []bool{true, false} {
		t.Run(fmt.Sprintf("sandbox with clocks %v", annotated), func(t *testing.T) {
			eachPod(t, func(t *testing.T, s stack) {
				dir := filepath.Join(t.TempDir(), "saved")
				id := strings.ReplaceAll(fmt.Sprintf("resume-%v-%v", annotated, s), "/", "-")
				var before moment
				for i := range 3 {
					sandbox := newSandbox(t, s, id).inNamespace("a")
					if annotated {
						sandbox.saving(dir)
					}
					sandbox.start()
					var members [2]*container
					var moments [2]moment
					var wg sync.WaitGroup
					for k := range members {
						members[k] = sandbox.newMember(fmt.Sprint(k)).inNamespace("a").saving(dir)
						members[k].prepare()
					}
					for k, m := range members { // at once
						wg.Go(func() { moments[k] = momentOf(m.start().inside) })
					}
					wg.Wait()
					if t.Failed() {
						return
					}
					pods := members[0].held()
					if got := members[1].held(); got != pods {
						t.Errorf("they have %v and %v", pods, got)
					}
					if i == 0 {
						ahead := want{monotonic: ahead(9 * time.Hour)}
						if pods != ahead {
							t.Errorf("the first pod has %v, want %v", pods, ahead)
						}
					} else {
						checkResumed(t, "a pod after another", before, moments[0])
					}
					members[1].stop()
					again := sandbox.newMember("1").inNamespace("a").saving(dir)
					again.startsWith(pods)
					before = momentOf(again.report().inside)
					again.stop()
					members[0].stop()
					sandbox.stop()
				}
				if got := listing(t, filepath.Join(dir, "@a")); got != "db" || listing(t, dir) != "@a" {
					t.Errorf("%s has %q, and %q in @a", dir, listing(t, dir), got)
				}
			})
		})
	}
}

// TestResumeNamespaces has no pod reach what is kept for another namespace.
func TestResumeNamespaces(t *testing.T) {
	eachStack(t, "refuses bad requests", func(t *testing.T, s stack) {
		dir := filepath.Join(t.TempDir(), "saved")
		annotate := func(c *container, more ...string) *container {
			annotate(c.spec, append([]string{"io.kubernetes.cri.container-type", "sandbox", "io.kubernetes.cri.sandbox-id", "x"}, more...)...)
			c.toml = fmt.Sprintf("saved-dir = %q\n", dir)
			return c
		}
		for _, namespace := range []string{"a", "b"} {
			c := annotate(newContainer(t, s), "io.timens.save", "db").inNamespace(namespace)
			c.run()
		}
		for _, tt := range []struct {
			annotations []string
			text        string
		}{
			{[]string{"io.kubernetes.cri.sandbox-namespace", "c"}, `nothing has been saved under that name`},
			{nil, `in which namespace the snapshot of clocks is kept cannot be told: the container is in a pod, and has no annotation "io.kubernetes.cri.sandbox-namespace", which containerd sets`},
			{[]string{"io.kubernetes.cri.sandbox-namespace", "c", "io.kubernetes.pod.namespace", "a"},
				`annotations "io.kubernetes.cri.sandbox-namespace": "c" and "io.kubernetes.pod.namespace": "a" contradict each other`},
			{[]string{"io.kubernetes.pod.namespace", "c", "io.kubernetes.cri-o.Namespace", "a"}, `contradict each other`},
			{[]string{"io.kubernetes.cri.sandbox-namespace", "../a"}, `annotation "io.kubernetes.cri.sandbox-namespace": "../a" is no namespace`},
		} {
			c := annotate(newContainer(t, s), append(tt.annotations, "io.timens.resume", "saved:db")...)
			c.refused("create", tt.text)
		}
		c := annotate(newContainer(t, s), "io.timens.resume", "saved:db").inNamespace("a")
		c.run()
		plain := newContainer(t, s)
		plain.toml = c.toml
		plain.spec.Annotations = map[string]string{"io.timens.resume": "saved:db"}
		plain.refused("create", `nothing has been saved under that name`)
	})
}
