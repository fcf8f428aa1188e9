package podman

import (
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// pod is about containers that podman run puts into a pod: what "=0" is, the first of
// them decides for all.
func (c *cell) pod(t *testing.T) (limit string) {
	c.do(t, "pod", "create", "--name=p")
	defer c.do(t, "pod", "rm", "--force", "--time=0", "p")
	run := func(name string, annotations map[string]string) {
		t.Helper()
		c.do(t, with([]string{"run", "--detach", "--pod=p", "--name=" + name}, annotate(annotations), []string{image})...)
	}
	began := time.Now()
	run("one", asked)
	clocks := expectAsked(t, c.report(t, "one", 1), began)
	time.Sleep(100 * time.Millisecond) // "=0" would be another offset by now
	run("two", asked)
	expectNear(t, "the second container", machine.Ahead(t, c.report(t, "two", 1)), clocks)
	// An offset needs no agreement, and without annotations there is nobody to make one.
	run("three", map[string]string{"io.timens.boottime": "+1h"})
	expectNear(t, "a container that asks for an offset", machine.Ahead(t, c.report(t, "three", 1)), machine.Clocks{Boottime: time.Hour})
	run("four", nil)
	expectHost(t, "a container of a pod that asks for nothing", c.report(t, "four", 1))
	c.expectPodExec(t, "two", clocks)

	c.do(t, "restart", "--time=0", "two")
	expectNear(t, "a container that was restarted alone", machine.Ahead(t, c.report(t, "two", 2)), clocks)
	began = time.Now()
	c.do(t, "pod", "restart", "p")
	anew := expectAsked(t, c.report(t, "one", 2), began)
	expectNear(t, "the second container of the pod, restarted", machine.Ahead(t, c.report(t, "two", 3)), anew)
	if anew.Boottime >= clocks.Boottime {
		t.Errorf("CLOCK_BOOTTIME is ahead by %v, and was by %v: it has not started anew with the pod", anew.Boottime, clocks.Boottime)
	}
	return ""
}

func (c *cell) expectPodExec(t *testing.T, container string, clocks machine.Clocks) {
	t.Helper()
	r := c.stand.exec(t, container)
	if !c.lowLevel.exec {
		expectHost(t, "exec", r)
		return
	}
	expectNear(t, "exec", machine.Ahead(t, r), clocks)
}

const kubePod = `apiVersion: v1
kind: Pod
metadata:
  name: clocks
  annotations:
    io.timens.boottime: "=0"
    io.timens.monotonic: "+36h"
spec:
  hostNetwork: true
  restartPolicy: Never
  containers:
  - {name: one, image: "` + image + `", imagePullPolicy: Never}
  - {name: two, image: "` + image + `", imagePullPolicy: Never}
`

// kubePlay is about pods from Kubernetes' YAML. Their annotations reach every
// container but podman's own one.
func (c *cell) kubePlay(t *testing.T) (limit string) {
	file := c.home + "/pod.yaml"
	c.Write(file, kubePod, 0o644)
	defer c.stand.run0(t, "rm", file)
	began := time.Now()
	c.do(t, "play", "kube", file)
	defer c.do(t, "play", "kube", "--down", file)
	one := expectAsked(t, c.report(t, "clocks-one", 1), began)
	two := expectAsked(t, c.report(t, "clocks-two", 1), began)
	expectNear(t, "the second container", two, one)
	c.do(t, "restart", "--time=0", "clocks-two")
	expectNear(t, "the second container, restarted", machine.Ahead(t, c.report(t, "clocks-two", 2)), one)
	c.expectPodExec(t, "clocks-two", one)
	return ""
}
