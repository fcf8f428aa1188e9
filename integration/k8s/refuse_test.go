package k8s

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// testRefused reads what people are told whose pods do not start.
func (c *cluster) testRefused(t *testing.T) {
	c.m.Write("/etc/oci-timens/config.d/50-policy.toml", "[policy]\nmax-offset = \"1000d\"\n", 0o644)
	refused := map[*pod]string{}
	for _, r := range []struct{ key, value, want string }{
		{"io.timens.boottime", "5 days", `annotation "io.timens.boottime": "5 days": `},
		{"io.timens.boottime", "", `annotation "io.timens.boottime": `},
		{"io.timens.monotonic", "+1h ", `annotation "io.timens.monotonic": "+1h ": `},
		{"io.timens.boottime", "-400d", `annotation "io.timens.boottime": "-400d": offset -400d would set CLOCK_BOOTTIME to -`},
		{"io.timens.boottime", "99999999999999999999d", `annotation "io.timens.boottime": "99999999999999999999d"`},
		{"io.timens.uptime", "=0", `annotation "io.timens.uptime" is unknown: the keys are io.timens.monotonic`},
		{"io.timens.boottime/container.a", "soon", `annotation "io.timens.boottime/container.a": "soon": `},
		{"io.timens.boottime/b", "=0", `annotation "io.timens.boottime/b"`},
		{"io.timens.boottime", "+1001d", `annotation "io.timens.boottime": "+1001d" is denied by the configuration of this host: the offset +1001d is above policy.max-offset +1000d`},
		{"io.timens.boottime", strings.Repeat("9", 200<<10), ` is 204800 bytes long, at most 4095 are allowed`},
	} {
		p := c.newPod(asked{r.key: r.value})
		c.create(t, p)
		refused[p] = r.want
	}
	for p, want := range refused {
		c.refuses(t, p, want)
	}
}

// refuses checks that a pod does not start, and that people are told why.
func (c *cluster) refuses(t *testing.T, p *pod, want string) {
	t.Helper()
	var said string
	for end := time.Now().Add(time.Minute); !strings.Contains(said, want); time.Sleep(500 * time.Millisecond) {
		said = c.kubectl(t, "describe", "pod", p.Metadata.Name)
		_, events, _ := strings.Cut(said, "\nEvents:")
		said = events
		if time.Now().After(end) {
			t.Errorf("kubectl describe does not say %q, but:\n%s", want, said)
			return
		}
	}
	if started := c.kubectl(t, "get", "pod", p.Metadata.Name, "-o=jsonpath={.status.containerStatuses[*].started}"); strings.Contains(started, "true") {
		t.Errorf("refused with %q, and started", want)
	}
}

// testHostile has authors of pods who want more than their own clocks.
func (c *cluster) testHostile(t *testing.T) {
	victim := c.run(t, c.newPod(asked{"io.timens.boottime": "=0"}))
	theirs := c.own(t, victim, "a")
	uid := c.kubectl(t, "get", "pod", victim.Metadata.Name, "-o=jsonpath={.metadata.uid}")
	sandbox := c.m.Run("ctr", "--namespace", "k8s.io", "containers", "list", "--quiet",
		"labels.\"io.kubernetes.pod.uid\"=="+uid+",labels.\"io.cri-containerd.kind\"==sandbox")

	t.Run("flood", func(t *testing.T) {
		flood := asked{"io.timens.boottime": "+1h"}
		for i := range 3000 {
			flood[fmt.Sprintf("io.timens.boottime/container.x%d", i)] = "+99h"
		}
		agree(t, "a", c.logged(t, c.run(t, c.newPod(flood)), "a"), machine.Clocks{Boottime: time.Hour})
	})
	t.Run("names", func(t *testing.T) {
		p := c.run(t, c.newPod(asked{"io.timens.boottime/pod": "+1h", "io.timens.boottime/container.pod": "+2h", "io.timens.boottime/container.container": "+3h"},
			named("pod"), named("container"), named("io-timens-boottime")))
		agree(t, "pod", c.logged(t, p, "pod"), machine.Clocks{Boottime: 2 * time.Hour})
		agree(t, "container", c.logged(t, p, "container"), machine.Clocks{Boottime: 3 * time.Hour})
		agree(t, "io-timens-boottime", c.logged(t, p, "io-timens-boottime"), machine.Clocks{Boottime: time.Hour})
	})
	t.Run("another's sandbox", func(t *testing.T) {
		if len(strings.Fields(sandbox)) != 1 {
			t.Fatalf("the sandbox of the other pod: %q", sandbox)
		}
		time.Sleep(100 * time.Millisecond) // for clocks that can be told apart
		p := c.run(t, c.newPod(asked{
			"io.timens.boottime":                "=0",
			"io.kubernetes.cri.container-type":  "container",
			"io.kubernetes.cri.sandbox-id":      sandbox,
			"io.kubernetes.cri.sandbox-uid":     uid,
			"io.kubernetes.cri-o.ContainerType": "container",
			"io.kubernetes.cri-o.SandboxID":     sandbox,
			"io.kubernetes.pod.uid":             uid,
		}, named("a"), named("b")))
		got := c.own(t, p, "a")
		if got.Near(theirs) {
			t.Errorf("has the other pod's clocks: %+v", got)
		}
		agree(t, "b", c.logged(t, p, "b"), got)
	})
	t.Run("ours", func(t *testing.T) {
		p := c.newPod(asked{"io.timens.boottime": "+1h", "io.timens.applied": "{}"})
		c.create(t, p)
		c.refuses(t, p, `annotation "io.timens.applied" is unknown`)
	})
	agree(t, "the other pod", c.exec(t, victim, "a"), theirs)
	agree(t, "a bystander", c.logged(t, c.run(t, c.newPod(nil)), "a"), machine.Clocks{})
}
