package containerd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

// image holds the probe, and serves as pause image too.
const image = "localhost/probe:latest"

// stack is a containerd with the low-level runtime behind the shim.
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

func (s stack) engine() string { return "containerd " + s.version }
func (s stack) String() string { return s.engine() + " with " + s.runtime }

// joinless tells whether the runtime's exec joins no time namespace at all.
func (s stack) joinless() bool { return s.runtime == runc13 }

// What the machines need, in each version of the file: without CAP_SYS_RESOURCE
// nothing may be protected from the OOM killer, and no registry has a pause image.
const (
	config2 = `# kept by hand
version = 2

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true # as in any container
  sandbox_image = "localhost/probe:latest"
`
	config3 = `# kept by hand
version = 3

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true # as in any container

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/probe:latest'
`
)

const (
	mainConfig = "/etc/containerd/config.toml"
	shim       = "/usr/bin/timens-runc"
)

// engine is a containerd in a machine of its own.
type engine struct {
	t      *testing.T
	m      *machine.Machine
	stack  stack
	daemon *machine.Daemon
	cri    *cri.Client

	args     []string // of containerd
	packaged string   // Debian's own configuration
}

// newEngine puts containerd, a low-level runtime and this project's programs into
// a new machine, and starts nothing.
func newEngine(t *testing.T, s stack) *engine {
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
	if s.version == "1.7.24" {
		e.packaged = e.m.Run("cat", mainConfig)
	}
	e.m.Run("rm", "-rf", "/etc/containerd")
	e.m.Run("mkdir", "-p", "/etc/containerd")
	switch s.runtime {
	case runcNew:
		e.m.Copy(machine.Tool(t, "runc-1.5.2"), "/usr/local/sbin/runc", 0o755)
	case crun13:
		e.m.Write("/etc/oci-timens/config.toml", "runtimes = [\"crun\"]\n", 0o644)
	}
	e.m.Install()
	e.m.Copy(machine.Programs(t).Probe, "/usr/local/bin/probe", 0o755)
	e.m.Copy(machine.Image(t, image), "/root/image.tar", 0o644)
	client, err := cri.Dial(e.m.Path("/run/containerd/containerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	e.cri = client
	t.Cleanup(func() { client.Close() })
	return e
}

// configure writes what the machine needs and sets the engine up.
func (e *engine) configure(options ...string) {
	e.t.Helper()
	e.writeConfig()
	e.m.Run(append([]string{"timensctl", "configure", "containerd"}, options...)...)
}

func (e *engine) writeConfig() {
	text := config3
	if strings.HasPrefix(e.stack.version, "1.") {
		text = config2
	}
	e.m.Write(mainConfig, text, 0o640)
}

// start starts containerd, and again after it was stopped.
func (e *engine) start() {
	e.t.Helper()
	e.daemon = e.m.Start(append([]string{"containerd"}, e.args...)...)
	e.daemon.Await(func() error {
		ctx, cancel := context.WithTimeout(e.t.Context(), time.Second)
		defer cancel()
		_, _, err := e.cri.Version(ctx)
		return err
	})
	for _, namespace := range []string{"default", "k8s.io"} {
		if have := e.m.Run("ctr", "-n", namespace, "image", "ls", "-q"); !strings.Contains(have, image) {
			e.m.Run("ctr", "-n", namespace, "image", "import", "/root/image.tar")
		}
	}
	e.daemon.Await(func() error { return e.cri.HasImage(e.t.Context(), image) })
}

func (e *engine) restart() {
	e.t.Helper()
	e.daemon.Stop()
	e.start()
}

// run runs a command that has to succeed, in the machine.
func (e *engine) run(t *testing.T, args ...string) string {
	t.Helper()
	o, err := e.m.Try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(o.Stdout)
}

// fail runs a command that has to fail, and returns what it said.
func (e *engine) fail(t *testing.T, args ...string) string {
	t.Helper()
	o, err := e.m.Try(args...)
	if err == nil {
		t.Fatalf("%s: succeeded, and should not have:\n%s%s", strings.Join(args, " "), o.Stdout, o.Stderr)
	}
	return o.Stdout + o.Stderr
}

// clocks measures those of a process of the machine, from a process that enters its
// time namespace.
func (e *engine) clocks(t *testing.T, pid int) machine.Clocks {
	t.Helper()
	out := e.run(t, "nsenter", "--time", "--target", fmt.Sprint(pid), "--", "/usr/local/bin/probe")
	return machine.Ahead(t, machine.Report(t, out))
}

// agree checks that two measurements are of the same clocks.
func agree(t *testing.T, what string, got, want machine.Clocks) {
	t.Helper()
	if !got.Near(want) {
		t.Errorf("%s: ahead by %+v, want %+v", what, got, want)
	}
}
