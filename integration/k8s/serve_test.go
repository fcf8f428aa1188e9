package k8s

import (
	"fmt"
	"os"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"
)

// TestServe is a cluster for people, until they interrupt it.
func TestServe(t *testing.T) {
	if *serve == "" {
		t.Skip("only with -serve")
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGINT, unix.SIGTERM)
	if *serve != byNRI && *serve != byClass {
		t.Fatalf("-serve %q: want %s or %s", *serve, byNRI, byClass)
	}
	c := newCluster(t, stack{newest, *serve})
	p := c.newPod(asked{"io.timens.boottime": "=0"})
	p.Metadata.Name = "example"
	c.write(t, "/root/example.yaml", p)
	fmt.Printf(`
A cluster of one node, whose pods get clocks by %[1]s. From another terminal:

    alias m='sudo %[2]s'
    m kubectl get nodes
    m kubectl create -f /root/example.yaml
    m kubectl logs example && m kubectl exec example -- /probe

Pods name their node (nodeName: %[3]s), as there is no scheduler; the one image is %[4]s,
with /bin/sh and the probe, which reports on its clocks. The node's files are below %[5]s.
Ctrl-C ends it, and leaves nothing behind.
`, *serve, c.enter(), nodeName, image, c.m.Path("/"))
	<-end
}
