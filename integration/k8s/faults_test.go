package k8s

import (
	"maps"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
)

// A pod with this does not start without the plugins that it names, where containerd's
// NRI has a validator that checks it, and that is enabled: from 2.2 on.
const (
	requiredPlugins = "required-plugins.noderesource.dev"
	notPresent      = `required plugin "timens" not present`
)

// testAbsent is about pods that are made while there is no plugin.
func (c *cluster) testAbsent(t *testing.T) {
	c.plugin.Stop()
	c.without(t, func() { c.startPlugin(t) })
}

// testKilled kills the plugin while containerd waits for its answer.
func (c *cluster) testKilled(t *testing.T) {
	p := c.inFlight(t)
	c.await(t, p, "create")
	eventually(t, "the node is about to create the container", func() bool {
		out := c.kubectl(t, "get", "events", "--field-selector=reason=Pulled,involvedObject.name="+p.Metadata.Name)
		return strings.Contains(out, p.Metadata.Name)
	})
	c.plugin.Signal(unix.SIGKILL)
	c.missed(t, p)
	c.without(t, func() { c.startPlugin(t) })
}

// testSlow has the plugin not answer in time.
func (c *cluster) testSlow(t *testing.T) {
	p := c.inFlight(t)
	c.missed(t, p)
	c.without(t, func() {
		c.plugin.Signal(unix.SIGCONT)
		eventually(t, "the plugin is connected again", func() bool {
			_, err := c.ask("/readyz")
			return err == nil
		})
	})
}

// inFlight has the plugin hold one container that containerd asks it about.
func (c *cluster) inFlight(t *testing.T) *pod {
	t.Helper()
	c.plugin.Signal(unix.SIGSTOP)
	t.Cleanup(func() { c.plugin.Signal(unix.SIGCONT) })
	p := c.newPod(maps.Clone(bothAsked))
	p.Metadata.Annotations[requiredPlugins] = "[timens]"
	c.create(t, p)
	return p
}

// missed is about such a container: containerd goes on without a plugin that was lost
// while it was asked, and takes it for one that was there (nri v0.12.3, CreateContainer
// in pkg/adaptation/adaptation.go). It is refused where the plugin was lost by another
// question, such as on the end of another pod.
func (c *cluster) missed(t *testing.T, p *pod) {
	t.Helper()
	limit(t, "**the one container that it is asked about may start with the node's clocks**; timens-nri says so when it is back")
	var state string
	eventually(t, "the one in flight has started, or not", func() bool {
		state = c.kubectl(t, "get", "pod", p.Metadata.Name, "-o=jsonpath={.status.containerStatuses[0].state}")
		return strings.Contains(state, "running") || strings.Contains(state, "CreateContainerError")
	})
	if strings.Contains(state, "running") {
		agree(t, "the one in flight", c.logged(t, p, "a"), machine.Clocks{})
	} else if c.stack.containerd != newest {
		t.Errorf("refused by a containerd that cannot: %s", state)
	} else {
		c.refuses(t, p, notPresent)
	}
}

// without creates pods while there is no plugin. Whoever has clocks keeps them, who
// requires the plugin does not start, and what the others have got is told when there is
// a plugin again.
func (c *cluster) without(t *testing.T, mend func()) {
	t.Helper()
	asks, requires, quiet := c.newPod(bothAsked), c.newPod(maps.Clone(bothAsked)), c.newPod(nil)
	requires.Metadata.Annotations[requiredPlugins] = "[timens]"
	for _, p := range []*pod{asks, requires, quiet} {
		c.create(t, p)
	}
	c.await(t, quiet, "condition=Ready")
	agree(t, "one that asks for nothing", c.logged(t, quiet, "a"), machine.Clocks{})
	if c.stack.containerd == newest {
		c.refuses(t, requires, notPresent)
	} else {
		if _, told := limits.Load(t.Name()); !told {
			limit(t, "**pods start with the node's clocks**; timens-nri says so when it is back")
		}
		c.await(t, requires, "condition=Ready")
		agree(t, "one that requires the plugin in vain", c.logged(t, requires, "a"), machine.Clocks{})
	}
	c.await(t, asks, "condition=Ready")
	agree(t, "one that asks", c.logged(t, asks, "a"), machine.Clocks{})

	mend()
	const missed = "the container was created without timens-nri, and has other clocks than its pod asks for: create it again"
	eventually(t, "the plugin tells whom it has missed", func() bool {
		for line := range strings.Lines(c.plugin.Log()) {
			if strings.Contains(line, missed) && strings.Contains(line, `"pod":"`+asks.Metadata.Name+`"`) {
				return true
			}
		}
		return false
	})
	c.again(t, asks, "a")
	agree(t, "one that asks, started again", c.logged(t, asks, "a"), both)
	if c.stack.containerd == newest {
		c.await(t, requires, "condition=Ready")
		agree(t, "one that requires the plugin", c.logged(t, requires, "a"), both)
	}
	agree(t, "a new one", c.logged(t, c.run(t, c.newPod(bothAsked)), "a"), both)
}
