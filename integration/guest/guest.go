package guest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/integration/guest/agent"
	"oci-timens/integration/machine"
)

const (
	// bootLimit is for a processor that is emulated, on a machine that is busy.
	bootLimit = 6 * time.Minute
	// Limit is how long one command may take, unless the guest is [Guest.Patient].
	Limit = 3 * time.Minute
)

// Config is what a guest is to be. The zero value of a field has a meaning.
type Config struct {
	Arch    string   // "amd64" or "arm64", this machine's by default
	Kernel  Kernel   // that of Tree by default
	Tree    string   // the root of an unpacked distribution; by default there are no files
	Files   string   // a folder which a guest with a tree has as /files, and cannot write to
	Cgroups int      // which version of cgroups, 2 by default
	Modules []string // of the kernel, to be loaded as well, where they are not built in
	Memory  int      // in MiB
}

// Guest is a virtual machine. It is gone when its test ends.
type Guest struct {
	t       testing.TB
	dir     string
	qemu    *exec.Cmd
	ended   chan struct{} // closed when QEMU has ended
	conn    net.Conn
	client  *agent.Client
	limit   time.Duration // for one command
	Kernel  Kernel
	Started time.Time // before QEMU was
}

// New starts a guest and waits until it runs commands.
func New(t testing.TB, c Config) *Guest {
	t.Helper()
	c.defaults(t)
	// Not t.TempDir: the path of a socket may have 107 bytes.
	dir, err := os.MkdirTemp("", "timens-guest-")
	if err != nil {
		t.Fatal(err)
	}
	g := &Guest{t: t, dir: dir, Kernel: c.Kernel, ended: make(chan struct{}), limit: Limit}
	t.Cleanup(g.end)
	if err := g.start(c); err != nil {
		t.Fatalf("starting a guest with %s on %q: %v\n%s", c.Kernel.Image, c.Tree, err, g.console())
	}
	return g
}

// In is the same guest for a part of its test, which fails in its place.
func (g *Guest) In(t testing.TB) *Guest {
	part := *g
	part.t = t
	return &part
}

// Patient is the same guest with another limit for one command.
func (g *Guest) Patient(limit time.Duration) *Guest {
	patient := *g
	patient.limit = limit
	return &patient
}

func (g *Guest) start(c Config) error {
	initrd := filepath.Join(g.dir, "initrd")
	if err := writeInitrd(initrd, c); err != nil {
		return err
	}
	argv, err := c.qemu(g.dir, initrd)
	if err != nil {
		return err
	}
	g.qemu = exec.Command(argv[0], argv[1:]...)
	said, err := os.Create(filepath.Join(g.dir, "qemu"))
	if err != nil {
		return err
	}
	defer said.Close()
	g.qemu.Stdout, g.qemu.Stderr = said, said
	g.Started = time.Now()
	if err := g.run(); err != nil {
		g.qemu = nil
		return err
	}
	return g.connect()
}

// run starts QEMU, which ends with this process, however that ends.
func (g *Guest) run() error {
	g.qemu.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started := make(chan error)
	go func() {
		// prctl(2), PR_SET_PDEATHSIG: it goes by the thread that has started a process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := g.qemu.Start()
		started <- err
		if err == nil {
			g.qemu.Wait()
			close(g.ended)
		}
	}()
	return <-started
}

// connect waits for QEMU to listen and for the guest to answer.
func (g *Guest) connect() (err error) {
	for limit := time.Now().Add(bootLimit); g.conn == nil; time.Sleep(20 * time.Millisecond) {
		select {
		case <-g.ended:
			return errors.New("QEMU has ended")
		default:
		}
		if g.conn, err = net.Dial("unix", filepath.Join(g.dir, "agent")); err != nil && time.Now().After(limit) {
			return err
		}
	}
	g.client = agent.NewClient(g.conn)
	_, err = g.do(agent.Command{}, bootLimit)
	return err
}

func (g *Guest) do(c agent.Command, limit time.Duration) (agent.Result, error) {
	if err := g.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return agent.Result{}, err
	}
	return g.client.Do(c)
}

// end ends QEMU and removes what it left. A guest has nothing that it would have to save.
func (g *Guest) end() {
	if g.t.Failed() && g.qemu != nil {
		g.t.Logf("the guest with %s:\n%s", filepath.Base(g.Kernel.Image), g.console())
	}
	if g.conn != nil {
		g.conn.Close()
	}
	if g.qemu != nil {
		g.qemu.Process.Kill()
		<-g.ended
	}
	if err := os.RemoveAll(g.dir); err != nil {
		g.t.Error(err)
	}
}

// console is what the kernel, the guest's first process and QEMU have said.
func (g *Guest) console() string {
	var b strings.Builder
	for _, name := range []string{"qemu", "console"} {
		text, err := os.ReadFile(filepath.Join(g.dir, name))
		if err != nil {
			continue
		}
		const most = 8 << 10
		b.Write(text[max(0, len(text)-most):])
	}
	return b.String()
}

// environment is that of every command.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root", "LANG=C.UTF-8", "TMPDIR=/tmp",
}

// Try runs a command in the guest and returns what it wrote. A first argument of the form
// NAME=VALUE adds to the environment. An error holds the command and what it said.
func (g *Guest) Try(args ...string) (machine.Output, error) { return g.TryWith(nil, args...) }

// TryWith is Try with a standard input.
func (g *Guest) TryWith(stdin []byte, args ...string) (o machine.Output, err error) {
	c := agent.Command{Args: args, Env: slices.Clone(environment), Stdin: stdin}
	for len(c.Args) > 0 && strings.Contains(c.Args[0], "=") && !strings.HasPrefix(c.Args[0], "/") {
		c.Env = append(c.Env, c.Args[0])
		c.Args = c.Args[1:]
	}
	if o, err = g.try(c); err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, o.Stdout, o.Stderr)
	}
	return o, err
}

func (g *Guest) try(c agent.Command) (o machine.Output, err error) {
	r, err := g.do(c, g.limit)
	switch {
	case err != nil:
	case r.Error != "":
		err = errors.New(r.Error)
	case r.Exit != 0:
		err = fmt.Errorf("exit status %d", r.Exit)
	}
	return machine.Output{Stdout: string(r.Stdout), Stderr: string(r.Stderr)}, err
}

// Run is Try for what has to succeed. It returns what the command wrote to its standard
// output, without white space around it.
func (g *Guest) Run(args ...string) string {
	g.t.Helper()
	o, err := g.Try(args...)
	if err != nil {
		g.t.Fatal(err)
	}
	return strings.TrimSpace(o.Stdout)
}

// Fail is Try for what has to fail. It returns all that the command wrote.
func (g *Guest) Fail(args ...string) string {
	g.t.Helper()
	o, err := g.Try(args...)
	if err == nil {
		g.t.Fatalf("%s: succeeded, and should not have:\n%s%s", strings.Join(args, " "), o.Stdout, o.Stderr)
	}
	return o.Stdout + o.Stderr
}
