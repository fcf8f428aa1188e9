package k8s

import (
	"testing"
)

// stacks are what the tests are run with.
var stacks = []stack{
	{newest, byClass},
	{debians, byClass},
	{newest, byNRI},
	{debians, byNRI},
}

// TestCluster runs everything in a cluster of each kind: first what pods do beside
// each other, then what is done to the node.
func TestCluster(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, s)
			before := c.traces(t)
			t.Run("pods", func(t *testing.T) {
				for _, f := range []feature{
					{"one container: its first process, `kubectl logs`, `kubectl exec`", c.testOne},
					{"several containers: one set of clocks", c.testSeveral},
					{"init and sidecar containers", c.testInit},
					{"ephemeral containers: `kubectl debug`", c.testDebug},
					{"liveness probes by exec", c.testProbe},
					{"crash and restart of a container", c.testCrash},
					{"`kubectl annotate --overwrite`, then restart: as before; recreated: as annotated", c.testAnnotate},
					{"the same with a `KEY/container.NAME` that is added", c.testAnnotateOne},
					{"the same of a pod that had asked for nothing", c.testAnnotateNothing},
					{"the same with annotations that are taken away", c.testAnnotateAway},
					{"the same with a value that cannot be understood", c.testAnnotateBadly},
					{"`KEY/container.NAME` and `KEY/pod`", c.testKeys},
					{"refusal in `kubectl describe pod`, with the reason", c.testRefused},
					{"nothing asked: untouched", c.testUntouched},
					{"static pods", c.testStatic},
					{"`hostNetwork`", c.testHostNetwork},
					{"`hostPID`, `shareProcessNamespace`", c.testPID},
					{"`hostUsers: false`", c.testUsers},
					{"hostile annotations: nothing beyond the pod's own clocks", c.testHostile},
				} {
					c.see(t, f, true)
				}
			})
			for _, f := range []feature{
				{"restart of kubelet", c.testKubelet},
				{"restart of containerd", c.testContainerd},
				{restartOfPlugin, c.testPlugin},
				{pluginAbsent, c.testAbsent},
				{pluginKilled, c.testKilled},
				{pluginSlow, c.testSlow},
				{"`kubectl drain`", c.testDrain},
				{"nothing left behind", func(t *testing.T) { c.testTraces(t, before) }},
			} {
				if c.stack.way == byNRI || !ofPlugin[f.name] {
					c.see(t, f, false)
				}
			}
		})
	}
}

// restart does something to the node under a pod that has clocks, and checks that the
// pod keeps them, that a container started again gets them, and that new pods have theirs.
func (c *cluster) restart(t *testing.T, do func(*pod)) {
	t.Helper()
	p := c.run(t, c.newPod(asked{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"}))
	want := c.own(t, p, "a")
	do(p)
	agree(t, "exec", c.exec(t, p, "a"), want)
	c.again(t, p, "a")
	agree(t, "started again", c.logged(t, p, "a"), want)
	agree(t, "exec after that", c.exec(t, p, "a"), want)
	agree(t, "a new pod", c.logged(t, c.run(t, c.newPod(bothAsked)), "a"), both)
	if got := c.own(t, c.run(t, c.newPod(asked{"io.timens.boottime": "=0"})), "a"); got.Near(want) {
		t.Errorf("a new pod has the clocks of an old one: %+v", got)
	}
}

func (c *cluster) testKubelet(t *testing.T) {
	c.restart(t, func(p *pod) {
		c.kubelet.Stop()
		c.startKubelet(t)
		eventually(t, "kubelet serves again", func() bool {
			_, err := c.m.Try("kubectl", "exec", "pod/"+p.Metadata.Name, "--", "/probe")
			return err == nil
		})
	})
}

func (c *cluster) testContainerd(t *testing.T) {
	c.restart(t, func(*pod) {
		c.containerd.Stop()
		c.startContainerd(t)
	})
}

// testDrain evicts pods, and lets the node have pods again.
func (c *cluster) testDrain(t *testing.T) {
	p := c.run(t, c.newPod(asked{"io.timens.boottime": "=0"}, named("a"), named("b")))
	c.kubectl(t, "drain", nodeName, "--force", "--timeout=1m")
	if left := c.kubectl(t, "get", "pods", p.Metadata.Name, "--ignore-not-found"); left != "" {
		t.Errorf("left after draining: %s", left)
	}
	c.kubectl(t, "uncordon", nodeName)
	agree(t, "a new pod", c.logged(t, c.run(t, c.newPod(bothAsked)), "a"), both)
}
