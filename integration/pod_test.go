package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// podNamespaces are those that the containers of a pod share.
var podNamespaces = map[specs.LinuxNamespaceType]string{
	specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
}

// eachPod runs f as a parallel subtest for every way to start a container.
func eachPod(t *testing.T, f func(t *testing.T, s stack)) {
	for _, s := range stacks() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			require(t, s.runtime.key, s.runtime.problem())
			s.needsClocks(t)
			f(t, s)
		})
	}
}

// newSandbox is a container as an engine makes it for a pod of this ID.
func newSandbox(t *testing.T, s stack, id string) *container {
	t.Helper()
	c := newContainer(t, s, "hold")
	c.spec.Linux.Namespaces = append(c.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	annotate(c.spec, "io.kubernetes.cri.container-type", "sandbox", "io.kubernetes.cri.sandbox-id", id)
	return c
}

// newMember is a container of the pod whose sandbox is running.
func (c *container) newMember(name string) *container {
	c.t.Helper()
	m := newContainer(c.t, c.stack, "hold")
	m.join(c.pid)
	annotate(m.spec, "io.kubernetes.cri.container-type", "container", "io.kubernetes.cri.container-name", name,
		"io.kubernetes.cri.sandbox-id", c.spec.Annotations["io.kubernetes.cri.sandbox-id"])
	return m
}

// join has the container share namespaces with a process.
func (c *container) join(pid int) {
	c.spec.Hostname = ""
	for typ, file := range podNamespaces {
		dropNamespace(c.spec, typ)
		path := filepath.Join("/proc", strconv.Itoa(pid), "ns", file)
		c.spec.Linux.Namespaces = append(c.spec.Linux.Namespaces, specs.LinuxNamespace{Type: typ, Path: path})
	}
}

// held is what the kernel holds for a container.
func (c *container) held() want {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/timens_offsets", c.pid))
	if err != nil {
		c.t.Fatal(err)
	}
	var d [2]time.Duration
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var name string
		var secs, nanos int64
		if _, err := fmt.Sscan(line, &name, &secs, &nanos); err != nil {
			c.t.Fatalf("%q: %v", text, err)
		}
		d[i] = time.Duration(secs)*time.Second + time.Duration(nanos)
	}
	return want{ahead(d[0]), ahead(d[1])}
}

// startsWith starts a member of a pod, which is to have these clocks to the nanosecond.
func (c *container) startsWith(w want) {
	c.t.Helper()
	w.check(c.t, c.created, c.start())
	if got := c.held(); got != w {
		c.t.Errorf("has %v, want %v", got, w)
	}
}

// TestPod has the sandbox of a pod ask for clocks, as with containerd.
func TestPod(t *testing.T) {
	eachPod(t, func(t *testing.T, s stack) {
		sandbox := newSandbox(t, s, "pod-"+s.String()[:4])
		annotate(sandbox.spec, "io.timens.boottime", "=0", "io.timens.monotonic/pod", "+1h", "io.timens.boottime/container.own", "+7h")
		seen := sandbox.start()
		want{ahead(time.Hour), reads(0)}.check(t, sandbox.created, seen)
		pods := sandbox.held()
		time.Sleep(300 * time.Millisecond)

		app := sandbox.newMember("app")
		annotate(app.spec, "io.timens.boottime", "=0", "io.timens.monotonic/pod", "+1h", "io.timens.boottime/container.own", "+7h")
		app.startsWith(pods)
		app.checkExec(pods)
		app.stop()
		again := sandbox.newMember("app")
		annotate(again.spec, "io.timens.boottime", "=5m") // edited meanwhile
		again.startsWith(pods)
		again.stop()
		own := sandbox.newMember("own")
		annotate(own.spec, "io.timens.boottime", "=0", "io.timens.monotonic/pod", "+1h", "io.timens.boottime/container.own", "+7h")
		own.startsWith(want{pods.monotonic, ahead(7 * time.Hour)})
		own.stop()
		other := sandbox.newMember("other")
		want{}.check(t, other.created, other.start()) // asks for nothing
		other.stop()
		sandbox.stop()
	})
}

// podRecords lists the records of a pod.
func podRecords(t *testing.T, id string) []string {
	t.Helper()
	names, err := filepath.Glob("/run/oci-timens/pods/" + id + ".*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestPodWithoutClocks has only the containers of a pod ask for clocks, as with
// podman: what the first gets is what all get that ask for the same.
func TestPodWithoutClocks(t *testing.T) {
	eachPod(t, func(t *testing.T, s stack) {
		id := strings.ReplaceAll("without-"+s.String(), "/", "-")
		var before want
		for range 2 { // restarted, the pod keeps its ID
			sandbox := newSandbox(t, s, id)
			sandbox.start()
			var members [3]*container
			var wg sync.WaitGroup
			for i := range members {
				members[i] = sandbox.newMember(fmt.Sprint(i))
				ask(members[i], "=1h", "=0")
				members[i].prepare()
			}
			for _, m := range members[:2] { // at once
				wg.Go(func() { m.start() })
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			pods := members[0].held()
			if got := members[1].held(); got != pods {
				t.Errorf("started at once, they have %v and %v", pods, got)
			}
			if pods == before {
				t.Errorf("after a restart of the pod, its containers still have %v", pods)
			}
			before = pods
			time.Sleep(100 * time.Millisecond)
			members[2].startsWith(pods)

			other := sandbox.newMember("other")
			ask(other, "+36h", "=1h")
			want{ahead(36 * time.Hour), reads(time.Hour)}.check(t, other.created, other.start())
			if records := podRecords(t, id); len(records) != 1 {
				t.Errorf("records %q, want one, of the pod that runs", records)
			}
			for _, m := range append(members[:], other, sandbox) {
				m.stop()
			}
		}
	})
}

// TestPodPrecreate has the filter resolve what the containers of a pod share.
func TestPodPrecreate(t *testing.T) {
	for _, r := range lowLevels()[1:] {
		t.Run(r.key, func(t *testing.T) {
			t.Parallel()
			require(t, r.key, r.problem())
			stack{"hook", r}.needsClocks(t)
			sandbox := newSandbox(t, stack{"none", r}, "precreate-"+r.key)
			sandbox.start()
			var pods want
			for i := range 2 {
				m := sandbox.newMember(fmt.Sprint(i))
				ask(m, "", "=0")
				m.prepare()
				m.filter(i == 0, r)
				time.Sleep(50 * time.Millisecond)
				if seen := m.start(); i == 0 {
					pods = m.held()
				} else {
					pods.check(t, m.created, seen)
				}
				if got := m.held(); got != pods || got.boottime.value == 0 {
					t.Errorf("has %v, want %v", got, pods)
				}
				m.stop()
			}
			sandbox.stop()
		})
	}
}
