package k8s

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// pod is as much of a Pod as is needed here, in the form that the API takes.
type pod struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   meta   `json:"metadata"`
	Spec       spec   `json:"spec"`
}

type meta struct {
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

type spec struct {
	NodeName         string      `json:"nodeName"`
	RuntimeClassName string      `json:"runtimeClassName,omitempty"`
	RestartPolicy    string      `json:"restartPolicy,omitempty"`
	HostNetwork      bool        `json:"hostNetwork,omitempty"`
	HostPID          bool        `json:"hostPID,omitempty"`
	HostUsers        *bool       `json:"hostUsers,omitempty"`
	ShareProcesses   bool        `json:"shareProcessNamespace,omitempty"`
	Grace            int         `json:"terminationGracePeriodSeconds"`
	Init             []container `json:"initContainers,omitempty"`
	Containers       []container `json:"containers"`
	Volumes          []any       `json:"volumes,omitempty"`
}

type container struct {
	Name          string   `json:"name"`
	Image         string   `json:"image"`
	Pull          string   `json:"imagePullPolicy"`
	Command       []string `json:"command,omitempty"`
	RestartPolicy string   `json:"restartPolicy,omitempty"`
	Liveness      any      `json:"livenessProbe,omitempty"`
	Mounts        []any    `json:"volumeMounts,omitempty"`
}

type asked = map[string]string

// named is a container that reports once and stays, unless a command is given.
func named(name string, command ...string) container {
	return container{Name: name, Image: image, Pull: "Never", Command: command}
}

var pods atomic.Int32

// newPod describes a pod whose containers get clocks the cluster's way, with one
// container "a" if none is named.
func (c *cluster) newPod(annotations asked, containers ...container) *pod {
	p := &pod{APIVersion: "v1", Kind: "Pod"}
	p.Metadata = meta{Name: fmt.Sprint("pod-", pods.Add(1)), Annotations: annotations}
	p.Spec = spec{NodeName: nodeName, Grace: 2, Containers: containers}
	if containers == nil {
		p.Spec.Containers = []container{named("a")}
	}
	if c.stack.way == byClass || c.stack.way == byClassPod {
		p.Spec.RuntimeClassName = "timens"
	}
	return p
}

// create creates a pod, which is deleted when the test ends.
func (c *cluster) create(t testing.TB, p *pod) {
	t.Helper()
	path := "/root/" + p.Metadata.Name + ".json"
	c.write(t, path, p)
	c.kubectl(t, "create", "--validate=false", "-f", path)
	t.Cleanup(func() {
		c.kubectl(t, "delete", "pod", p.Metadata.Name, "--ignore-not-found", "--wait=false")
	})
}

// write writes a description to a file of the machine, as JSON, which YAML includes.
func (c *cluster) write(t testing.TB, path string, p *pod) {
	t.Helper()
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	c.m.Write(path, string(text)+"\n", 0o600)
}

// run creates a pod and waits until it is ready.
func (c *cluster) run(t testing.TB, p *pod) *pod {
	t.Helper()
	c.create(t, p)
	c.await(t, p, "condition=Ready")
	return p
}

func (c *cluster) await(t testing.TB, p *pod, what string) {
	t.Helper()
	_, err := c.m.Try("kubectl", "wait", "--for="+what, "pod/"+p.Metadata.Name, "--timeout=1m")
	if err != nil {
		o, _ := c.m.Try("kubectl", "describe", "pod", p.Metadata.Name)
		t.Fatalf("%v\n%s", err, o.Stdout)
	}
}

// logged is what a container's first process reported.
func (c *cluster) logged(t testing.TB, p *pod, name string, options ...string) probe.Report {
	t.Helper()
	var out string
	eventually(t, "a report of the probe", func() bool {
		out = c.kubectl(t, append([]string{"logs", p.Metadata.Name, "--container", name}, options...)...)
		return strings.Contains(out, "}")
	})
	return machine.Report(t, out)
}

// exec is what a process reports that kubectl exec starts.
func (c *cluster) exec(t testing.TB, p *pod, name string) probe.Report {
	t.Helper()
	return machine.Report(t, c.kubectl(t, "exec", p.Metadata.Name, "--container", name, "--", "/probe"))
}
