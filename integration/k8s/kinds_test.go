package k8s

import (
	"os"
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

// namespace is the machine's own time namespace.
func (c *cluster) namespace(t testing.TB) string {
	t.Helper()
	own, err := os.Readlink(c.m.Path("/proc/1/ns/time"))
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// untouched checks that a container is as if there were nothing of this project.
func (c *cluster) untouched(t testing.TB, p *pod, name string) {
	t.Helper()
	r, own := c.logged(t, p, name), c.namespace(t)
	if r.TimeNamespace != own || r.TimeForChildren != own {
		t.Errorf("in %s, children in %s, the machine in %s", r.TimeNamespace, r.TimeForChildren, own)
	}
	agree(t, "a pod that asks for nothing", r, machine.Clocks{})
	agree(t, "exec in it", c.exec(t, p, name), machine.Clocks{})
}

func (c *cluster) testUntouched(t *testing.T) {
	c.untouched(t, c.run(t, c.newPod(nil)), "a")
	c.untouched(t, c.run(t, c.newPod(asked{"example.com/io.timens.boottime": "=0"})), "a")
	if c.stack.way == byClass { // who does not name the class does not get it
		p := c.newPod(bothAsked)
		p.Spec.RuntimeClassName = ""
		c.untouched(t, c.run(t, p), "a")
	}
}

// testStatic runs a pod from a file of the node, which the API server only shows.
func (c *cluster) testStatic(t *testing.T) {
	p := c.newPod(asked{"io.timens.boottime": "=0"}, named("a"), named("b"))
	file := manifests + "/static.json"
	c.write(t, file, p)
	p.Metadata.Name += "-" + nodeName // by which the API server has it
	t.Cleanup(func() {
		c.kubectl(t, "wait", "--for=delete", "pod/"+p.Metadata.Name, "--timeout=1m")
	})
	t.Cleanup(func() { os.Remove(c.m.Path(file)) })
	c.await(t, p, "create")
	c.await(t, p, "condition=Ready")
	want := c.own(t, p, "a")
	agree(t, "b", c.logged(t, p, "b"), want)
	agree(t, "exec", c.exec(t, p, "a"), want)
}

func (c *cluster) testHostNetwork(t *testing.T) {
	p := c.newPod(asked{"io.timens.boottime": "=0"}, named("a"), named("b"))
	p.Spec.HostNetwork = true
	c.run(t, p)
	want := c.own(t, p, "a")
	agree(t, "b", c.logged(t, p, "b"), want)
	agree(t, "exec", c.exec(t, p, "b"), want)
}

func (c *cluster) testPID(t *testing.T) {
	for _, share := range []func(*spec){
		func(s *spec) { s.HostPID = true }, func(s *spec) { s.ShareProcesses = true },
	} {
		p := c.newPod(asked{"io.timens.boottime": "=0"}, named("a"), named("b"))
		share(&p.Spec)
		c.run(t, p)
		want := c.own(t, p, "a")
		agree(t, "b", c.logged(t, p, "b"), want)
		agree(t, "exec", c.exec(t, p, "b"), want)
	}
	// Not the clocks of what it can see.
	if out := c.m.Run("cat", "/proc/1/timens_offsets"); strings.Join(strings.Fields(out), " ") != "monotonic 0 0 boottime 0 0" {
		t.Errorf("the machine's own clocks: %s", out)
	}
}

// testUsers runs a pod in a user namespace of its own, where the stack can.
func (c *cluster) testUsers(t *testing.T) {
	no := false
	plain := c.newPod(nil)
	plain.Spec.RuntimeClassName, plain.Spec.HostUsers = "", &no
	c.create(t, plain)
	if _, err := c.m.Try("kubectl", "wait", "--for=condition=Ready", "pod/"+plain.Metadata.Name, "--timeout=20s"); err != nil {
		t.Skip(c.kubectl(t, "get", "events", "--field-selector=involvedObject.name="+plain.Metadata.Name, "-o=jsonpath={.items[*].message}"))
	}
	p := c.newPod(asked{"io.timens.boottime": "=0"}, named("a"), named("b"))
	p.Spec.HostUsers = &no
	c.run(t, p)
	want := c.own(t, p, "a")
	agree(t, "b", c.logged(t, p, "b"), want)
	agree(t, "exec", c.exec(t, p, "b"), want)
}
