package k8s

import (
	"slices"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// left is what pods could leave behind on a node.
type left struct {
	mounts, namespaces []string
	files              machine.Files
}

// traces looks for it.
func (c *cluster) traces(t testing.TB) (l left) {
	t.Helper()
	out, err := c.m.Try("sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo | sort; echo; readlink /proc/[0-9]*/ns/time /proc/[0-9]*/ns/time_for_children | sort -u")
	if err != nil && out.Stdout == "" { // processes may end meanwhile
		t.Fatal(err)
	}
	mounts, namespaces, _ := strings.Cut(out.Stdout, "\n\n")
	l.mounts, l.namespaces = strings.Fields(mounts), strings.Fields(namespaces)
	// Locks and what is known of the runtimes stay; records of pods do not.
	l.files = c.m.Snapshot("/run/oci-timens/pods")
	for name := range l.files {
		if strings.HasSuffix(name, "/lock") || name == "/run/oci-timens/pods" {
			delete(l.files, name)
		}
	}
	return l
}

// testTraces removes all pods, and compares.
func (c *cluster) testTraces(t *testing.T, before left) {
	c.kubectl(t, "delete", "pods", "--all", "--wait", "--timeout=1m")
	var now left
	for range 70 { // kubelet removes sandboxes once in a minute
		if now = c.traces(t); slices.Equal(now.mounts, before.mounts) && slices.Equal(now.namespaces, before.namespaces) {
			break
		}
		time.Sleep(time.Second)
	}
	if !slices.Equal(now.mounts, before.mounts) {
		t.Errorf("mounts: %q, before %q", now.mounts, before.mounts)
	}
	if !slices.Equal(now.namespaces, before.namespaces) {
		t.Errorf("time namespaces: %q, before %q", now.namespaces, before.namespaces)
	}
	now.files.Same(t, before.files)
}
