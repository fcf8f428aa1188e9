package k8s

import (
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

var (
	bothAsked = asked{"io.timens.monotonic": "+36h", "io.timens.boottime": "+1h0.25s"}
	both      = machine.Clocks{Monotonic: 36 * time.Hour, Boottime: time.Hour + 250*time.Millisecond}
)

// agree checks the clocks of whoever made a report.
func agree(t testing.TB, what string, r probe.Report, want machine.Clocks) {
	t.Helper()
	if got := machine.Ahead(t, r); !got.Near(want) {
		t.Errorf("%s: ahead by %+v, want %+v", what, got, want)
	}
}

// own is what a container's clocks are that begin at zero, and that they have just begun.
func (c *cluster) own(t testing.TB, p *pod, name string) machine.Clocks {
	t.Helper()
	r := c.logged(t, p, name)
	if age := time.Duration(r.Boottime.VDSO); age < 0 || age > time.Minute {
		t.Errorf("an uptime that begins at zero is %v", age)
	}
	if r.StartTime > r.Boottime.VDSO {
		t.Errorf("the process started at %v of its clock, and it is %v", time.Duration(r.StartTime), time.Duration(r.Boottime.VDSO))
	}
	return machine.Ahead(t, r)
}

// again ends a container's first process, and waits until kubelet has started another.
func (c *cluster) again(t testing.TB, p *pod, name string) {
	t.Helper()
	// Not a failure of the command: it may end together with the container.
	c.m.Try("kubectl", "exec", p.Metadata.Name, "--container", name, "--", "/bin/sh", "-c", "kill 1")
	c.await(t, p, `jsonpath={.status.containerStatuses[?(@.name=="`+name+`")].restartCount}=1`)
	c.await(t, p, "condition=Ready")
}

func (c *cluster) testOne(t *testing.T) {
	p := c.run(t, c.newPod(bothAsked))
	agree(t, "logs", c.logged(t, p, "a"), both)
	agree(t, "exec", c.exec(t, p, "a"), both)
	zero := c.run(t, c.newPod(asked{"io.timens.boottime": "=0"}))
	agree(t, "exec", c.exec(t, zero, "a"), c.own(t, zero, "a"))
}

func (c *cluster) testSeveral(t *testing.T) {
	p := c.newPod(asked{"io.timens.boottime": "=0", "io.timens.monotonic": "=497d"}, named("a"), named("b"), named("c"))
	c.run(t, p)
	want := c.own(t, p, "a")
	for _, name := range []string{"b", "c"} {
		agree(t, name, c.logged(t, p, name), want)
		agree(t, "exec in "+name, c.exec(t, p, name), want)
	}
}

func (c *cluster) testInit(t *testing.T) {
	p := c.newPod(asked{"io.timens.boottime": "=0"})
	side := named("side")
	side.RestartPolicy = "Always"
	p.Spec.Init = []container{named("first", "/probe"), side, named("second", "/probe")}
	c.run(t, p)
	want := c.own(t, p, "first")
	for _, name := range []string{"side", "second", "a"} {
		agree(t, name, c.logged(t, p, name), want)
	}
	agree(t, "exec in side", c.exec(t, p, "side"), want)
}

func (c *cluster) testDebug(t *testing.T) {
	p := c.run(t, c.newPod(asked{"io.timens.boottime": "=0"}))
	want := c.own(t, p, "a")
	for name, target := range map[string]string{"alone": "--stdin=false", "beside": "--target=a"} {
		c.kubectl(t, "debug", p.Metadata.Name, "--container", name, "--image", image, "--image-pull-policy=Never",
			"--profile=general", target, "--", "/probe", "hold")
		c.await(t, p, `jsonpath={.status.ephemeralContainerStatuses[?(@.name=="`+name+`")].state.running.startedAt}`)
		agree(t, name, c.logged(t, p, name), want)
		agree(t, "exec in "+name, c.exec(t, p, name), want)
	}
}

func (c *cluster) testProbe(t *testing.T) {
	o := named("a")
	o.Liveness = map[string]any{
		"exec":          map[string]any{"command": []string{"/bin/sh", "-c", "test -e /tmp/live || /probe >/tmp/live"}},
		"periodSeconds": 1, "timeoutSeconds": 10,
	}
	p := c.run(t, c.newPod(bothAsked, o))
	var out string
	eventually(t, "the probe has been run", func() bool {
		got, _ := c.m.Try("kubectl", "exec", p.Metadata.Name, "--", "/bin/sh", "-c", `read r </tmp/live; echo "$r"`)
		out = got.Stdout
		return strings.Contains(out, "}")
	})
	agree(t, "liveness probe", machine.Report(t, out), both)
}

func (c *cluster) testCrash(t *testing.T) {
	o := named("a", "/bin/sh", "-c", "test -e /kept/crashed && exec /probe hold; /probe; echo >/kept/crashed; exit 3")
	o.Mounts = []any{map[string]string{"name": "kept", "mountPath": "/kept"}}
	p := c.newPod(asked{"io.timens.boottime": "=0"}, o, named("b"))
	p.Spec.Volumes = []any{map[string]any{"name": "kept", "emptyDir": map[string]any{}}}
	c.create(t, p)
	c.await(t, p, `jsonpath={.status.containerStatuses[?(@.name=="a")].restartCount}=1`)
	c.await(t, p, "condition=Ready")
	want := c.own(t, p, "b")
	agree(t, "before the crash", c.logged(t, p, "a", "--previous"), want)
	agree(t, "after it", c.logged(t, p, "a"), want)
	agree(t, "exec", c.exec(t, p, "a"), want)
}

// annotate changes what a pod asks for, and leaves kubelet the time to hear of it.
func (c *cluster) annotate(t testing.TB, p *pod, annotations ...string) {
	t.Helper()
	c.kubectl(t, append([]string{"annotate", "pod", p.Metadata.Name, "--overwrite"}, annotations...)...)
	time.Sleep(2 * time.Second)
}

// testAnnotate changes what a pod asks for while it runs.
func (c *cluster) testAnnotate(t *testing.T) {
	p := c.run(t, c.newPod(bothAsked, named("a"), named("b")))
	c.annotate(t, p, "io.timens.boottime=+5h", "io.timens.monotonic=+6h")
	c.again(t, p, "a")
	agree(t, "restarted", c.logged(t, p, "a"), both)
	agree(t, "exec", c.exec(t, p, "a"), both)
	agree(t, "the other one", c.exec(t, p, "b"), both)

	c.kubectl(t, "delete", "pod", p.Metadata.Name, "--wait")
	p.Metadata.Annotations = asked{"io.timens.boottime": "+5h"}
	agree(t, "recreated", c.logged(t, c.run(t, p), "a"), machine.Clocks{Boottime: 5 * time.Hour})
}

// testAnnotateOne adds a key for one container of a running pod.
func (c *cluster) testAnnotateOne(t *testing.T) {
	p := c.run(t, c.newPod(bothAsked))
	c.annotate(t, p, "io.timens.boottime/container.a=+7h")
	c.again(t, p, "a")
	agree(t, "restarted", c.logged(t, p, "a"), both)
}

// testAnnotateNothing annotates a pod that had asked for nothing.
func (c *cluster) testAnnotateNothing(t *testing.T) {
	p := c.run(t, c.newPod(nil))
	c.annotate(t, p, "io.timens.boottime=+5h")
	c.again(t, p, "a")
	agree(t, "restarted", c.logged(t, p, "a"), machine.Clocks{})
}

// testAnnotateAway takes away what a running pod had asked for.
func (c *cluster) testAnnotateAway(t *testing.T) {
	p := c.run(t, c.newPod(bothAsked))
	c.annotate(t, p, "io.timens.boottime-", "io.timens.monotonic-")
	c.again(t, p, "a")
	agree(t, "restarted", c.logged(t, p, "a"), both)
}

// testAnnotateBadly has a pod ask for what cannot be understood, once it runs.
func (c *cluster) testAnnotateBadly(t *testing.T) {
	p := c.run(t, c.newPod(bothAsked))
	c.annotate(t, p, "io.timens.boottime=nonsense")
	c.again(t, p, "a")
	agree(t, "restarted", c.logged(t, p, "a"), both)
}

func (c *cluster) testKeys(t *testing.T) {
	p := c.newPod(asked{
		"io.timens.boottime/pod": "+1h", "io.timens.boottime/container.b": "+2h", "io.timens.monotonic/container.c": "=0",
		"io.timens.boottime/container.nobody": "+9h",
	}, named("a"), named("b"), named("c"))
	c.run(t, p)
	agree(t, "a", c.logged(t, p, "a"), machine.Clocks{Boottime: time.Hour})
	agree(t, "b", c.logged(t, p, "b"), machine.Clocks{Boottime: 2 * time.Hour})
	r := c.logged(t, p, "c")
	got := machine.Ahead(t, r)
	if age := time.Duration(r.Monotonic.VDSO); age < 0 || age > time.Minute {
		t.Errorf("c: a clock that begins at zero reads %v", age)
	}
	agree(t, "c", r, machine.Clocks{Boottime: time.Hour, Monotonic: got.Monotonic})
	agree(t, "exec in c", c.exec(t, p, "c"), got)
}
