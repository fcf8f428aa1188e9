package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// newPod describes a pod that no other has the name of.
func newPod(t *testing.T, handler string, annotations map[string]string) *cri.Pod {
	n := strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())) + "-" + time.Now().Format("150405.000000")
	return &cri.Pod{
		Name: n, Namespace: "tests", UID: n, Handler: handler, Annotations: annotations,
		LogDir: "/var/log/pods/" + n,
	}
}

// pod runs a sandbox, which is removed at the end of the test.
func (e *engine) pod(t *testing.T, handler string, annotations map[string]string) *cri.Pod {
	t.Helper()
	p := newPod(t, handler, annotations)
	e.runPod(t, p)
	return p
}

func (e *engine) runPod(t *testing.T, p *cri.Pod) {
	t.Helper()
	if err := e.cri.RunPodSandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.removePod(t, p) })
}

func (e *engine) removePod(t *testing.T, p *cri.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), machine.Limit)
	defer cancel()
	if err := e.cri.StopPodSandbox(ctx, p); err != nil {
		t.Error(err)
	}
	if err := e.cri.RemovePodSandbox(ctx, p); err != nil {
		t.Error(err)
	}
}

// container starts a container in a pod, and returns what its first process reported.
func (e *engine) container(t *testing.T, p *cri.Pod, o *cri.Container) probe.Report {
	t.Helper()
	o.Image = image
	if err := e.cri.CreateContainer(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	if err := e.cri.StartContainer(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return e.reported(t, p, o)
}

// reported waits for the report in the container's log.
func (e *engine) reported(t *testing.T, p *cri.Pod, o *cri.Container) probe.Report {
	t.Helper()
	var out string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		log, err := os.ReadFile(e.m.Path(p.LogDir + "/" + o.LogName()))
		if out = cri.Output(string(log)); err == nil && strings.HasSuffix(out, "}\n") {
			return machine.Report(t, out)
		}
	}
	t.Fatalf("container %s has not reported: %q", o.Name, out)
	return probe.Report{}
}

// exec measures the clocks of a process that is started in a container.
func (e *engine) exec(t *testing.T, o *cri.Container) machine.Clocks {
	t.Helper()
	out, err := e.cri.ExecSync(t.Context(), o, "/probe")
	if err != nil {
		t.Fatal(err)
	}
	return machine.Ahead(t, machine.Report(t, out))
}

// checkExec checks that a process in a container has its clocks, or, where the runtime
// cannot, exactly the machine's.
func (e *engine) checkExec(t *testing.T, o *cri.Container, want machine.Clocks) {
	t.Helper()
	e.execAgrees(t, e.exec(t, o), want)
}

func (e *engine) execAgrees(t *testing.T, got, want machine.Clocks) {
	t.Helper()
	if e.stack.joinless() {
		want = machine.Clocks{}
	}
	agree(t, "exec", got, want)
}

// tellJoins notes the limit that has just been checked.
func (e *engine) tellJoins(t *testing.T) {
	if e.stack.joinless() {
		limit(t, "**sees the host's clocks**")
	}
}

// sandbox measures the clocks of a pod's sandbox, once it runs its program: engines go on
// a moment before that, and a time namespace may be entered only then.
func (e *engine) sandbox(t *testing.T, p *cri.Pod) machine.Clocks {
	t.Helper()
	pid, err := e.cri.SandboxPID(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	exe := e.m.Path(fmt.Sprintf("/proc/%d/exe", pid))
	for range 500 {
		if program, _ := os.Readlink(exe); strings.HasSuffix(program, "/probe") {
			return e.clocks(t, pid)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d of the sandbox does not run the probe", pid)
	return machine.Clocks{}
}

// inspect is what timensctl tells of a container.
func (e *engine) inspect(t *testing.T, id string) machine.Clocks {
	t.Helper()
	type offset struct{ Secs, Nanosecs int64 }
	var v struct {
		Offsets struct{ Monotonic, Boottime offset }
	}
	if out := e.run(t, "timensctl", "inspect", "--output", "json", id); json.Unmarshal([]byte(out), &v) != nil {
		t.Fatalf("timensctl inspect wrote %q", out)
	}
	of := func(o offset) time.Duration { return time.Duration(o.Secs)*time.Second + time.Duration(o.Nanosecs) }
	return machine.Clocks{Monotonic: of(v.Offsets.Monotonic), Boottime: of(v.Offsets.Boottime)}
}
