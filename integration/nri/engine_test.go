package nri

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

func TestMain(m *testing.M) { os.Exit(machine.Main(m)) }

// image holds the probe, and serves as pause image too.
const image = "localhost/probe:latest"

// stack is a containerd with a low-level runtime.
type stack struct {
	version string // of containerd
	debian  int    // what it runs on
	runtime string
}

const (
	runcNew = "runc 1.5.2"
	runc13  = "runc 1.1.15"
	crun13  = "crun 1.21"
)

var stacks = []stack{
	{"2.4.2", 12, runcNew},
	{"2.4.2", 13, runc13},
	{"2.4.2", 13, crun13},
	{"1.7.24", 13, runcNew},
	{"1.7.24", 13, runc13},
	{"1.7.24", 13, crun13},
}

func (s stack) String() string { return "containerd " + s.version + " with " + s.runtime }

// joinless tells whether the runtime's exec joins no time namespace at all.
func (s stack) joinless() bool { return s.runtime == runc13 }

// What the machines need, in each version of the file: without CAP_SYS_RESOURCE nothing
// may be protected from the OOM killer, and no registry has a pause image. The last %s is
// what is added for NRI, which is on by default from containerd 2.0 on.
const (
	config2 = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "localhost/probe:latest"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "%s"
[plugins."io.containerd.nri.v1.nri"]
  disable = false
%s`
	config3 = `version = 3
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '%s'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/probe:latest'
%s`
	hostHook = "/usr/libexec/oci/hooks.d/timens-hook"
	kept     = "/run/oci-timens/pods-by-id"
)

// engine is a containerd in a machine of its own, and the plugin.
type engine struct {
	t      *testing.T
	m      *machine.Machine
	stack  stack
	daemon *machine.Daemon
	plugin *machine.Daemon
	cri    *cri.Client
}

// newEngine starts containerd in a new machine, with what is said of NRI in its
// configuration, and the plugin.
func newEngine(t *testing.T, s stack, nri string, options ...string) *engine {
	t.Helper()
	tree := "/"
	if s.debian == 13 {
		tree = machine.Tool(t, "debian13-1")
	}
	e := &engine{t: t, m: machine.New(t, tree), stack: s}
	if s.version != "1.7.24" { // which is Debian 13's own
		for _, p := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
			e.m.Copy(machine.Tool(t, "containerd-"+s.version+"/"+p), "/usr/local/bin/"+p, 0o755)
		}
	}
	e.m.Run("rm", "-rf", "/etc/containerd")
	e.m.Run("mkdir", "-p", "/etc/containerd")
	text, runtime := config3, "runc"
	if strings.HasPrefix(s.version, "1.") {
		text = config2
	}
	switch s.runtime {
	case runcNew:
		e.m.Copy(machine.Tool(t, "runc-1.5.2"), "/usr/local/sbin/runc", 0o755)
	case crun13:
		runtime = "crun"
	}
	e.m.Write("/etc/containerd/config.toml", fmt.Sprintf(text, runtime, nri), 0o640)
	e.m.Copy(machine.Programs(t).Hook, hostHook, 0o755)
	e.m.Copy(machine.Programs(t).Probe, "/usr/local/bin/probe", 0o755)
	e.m.Copy(machine.Program(t, "timens-nri"), "/usr/local/bin/timens-nri", 0o755)
	e.m.Copy("/bin/busybox", "/usr/local/bin/busybox", 0o755)
	e.m.Copy(machine.Image(t, image), "/root/image.tar", 0o644)
	client, err := cri.Dial(e.m.Path("/run/containerd/containerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	e.cri = client
	t.Cleanup(func() { client.Close() })
	e.start()
	e.startPlugin(options...)
	return e
}

// start starts containerd, and again after it was stopped.
func (e *engine) start() {
	e.t.Helper()
	e.daemon = e.m.Start("containerd")
	e.daemon.Await(func() error {
		ctx, cancel := context.WithTimeout(e.t.Context(), time.Second)
		defer cancel()
		_, _, err := e.cri.Version(ctx)
		return err
	})
	if have := e.m.Run("ctr", "-n", "k8s.io", "image", "ls", "-q"); !strings.Contains(have, image) {
		e.m.Run("ctr", "-n", "k8s.io", "image", "import", "/root/image.tar")
	}
	e.daemon.Await(func() error { return e.cri.HasImage(e.t.Context(), image) })
}

// startPlugin starts the plugin without any capability, and waits until it is ready.
func (e *engine) startPlugin(options ...string) {
	e.t.Helper()
	e.plugin = e.m.Start(append([]string{"setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs", "timens-nri", "--log-level", "debug"}, options...)...)
	e.awaitPlugin()
}

func (e *engine) awaitPlugin() {
	e.t.Helper()
	e.plugin.Await(func() error {
		_, err := e.get("/readyz")
		return err
	})
}

// get reads from the plugin's own server.
func (e *engine) get(path string) (string, error) {
	o, err := e.m.Try("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:9464"+path)
	return o.Stdout, err
}

// newPod describes a pod that no other has the name of.
func newPod(t *testing.T, annotations map[string]string) *cri.Pod {
	n := strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())) + "-" + time.Now().Format("150405.000000")
	return &cri.Pod{Name: n, Namespace: "tests", UID: n, Annotations: annotations, LogDir: "/var/log/pods/" + n}
}

// pod runs a sandbox, which is removed at the end of the test.
func (e *engine) pod(t *testing.T, annotations map[string]string) *cri.Pod {
	t.Helper()
	p := newPod(t, annotations)
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

func (e *engine) init(t *testing.T, p *cri.Pod, o *cri.Container) machine.Clocks {
	t.Helper()
	return machine.Ahead(t, e.container(t, p, o))
}

// checkExec checks that a process in a container has its clocks, or, where the runtime
// cannot, exactly the machine's.
func (e *engine) checkExec(t *testing.T, o *cri.Container, want machine.Clocks) {
	t.Helper()
	out, err := e.cri.ExecSync(t.Context(), o, "/probe")
	if err != nil {
		t.Fatal(err)
	}
	if e.stack.joinless() {
		want = machine.Clocks{}
	}
	agree(t, "exec", machine.Ahead(t, machine.Report(t, out)), want)
}

// again ends a container, and starts it as a kubelet does: as another attempt.
func (e *engine) again(t *testing.T, p *cri.Pod, o *cri.Container) (*cri.Container, machine.Clocks) {
	t.Helper()
	if err := e.cri.StopContainer(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := e.cri.RemoveContainer(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	next := &cri.Container{Name: o.Name, Attempt: o.Attempt + 1}
	return next, e.init(t, p, next)
}

// agree checks that two measurements are of the same clocks.
func agree(t *testing.T, what string, got, want machine.Clocks) {
	t.Helper()
	if !got.Near(want) {
		t.Errorf("%s: ahead by %+v, want %+v", what, got, want)
	}
}

// keeps lists the records of pods.
func (e *engine) keeps(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(e.m.Path(kept))
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	for _, f := range entries {
		names = append(names, f.Name())
	}
	return names
}
