package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/internal/testenv"
)

// Limit is how long one command in a machine may take.
const Limit = 3 * time.Minute

// Machine is a disposable machine. It is gone when its test ends.
type Machine struct {
	t       testing.TB
	first   *exec.Cmd      // its process 1
	hold    io.WriteCloser // whose end ends it
	cgroups []cgroup
	dir     string
}

// New starts a machine on the files of a tree: "/" for the machine below, or the
// root of an unpacked distribution.
func New(t testing.TB, tree string) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		testenv.Lacks(t, "root", "a machine of its own needs namespaces and mounts")
	}
	// Not t.TempDir: the options of an overlay cannot have every name in them.
	dir, err := os.MkdirTemp("", "timens-machine-")
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{t: t, dir: dir}
	t.Cleanup(m.end)
	if m.cgroups, err = newCgroups(filepath.Base(dir)); err != nil {
		t.Fatal(err)
	}
	if err := m.start(tree); err != nil {
		t.Fatalf("starting a machine on %s: %v", tree, err)
	}
	return m
}

func (m *Machine) start(tree string) error {
	plan, err := json.Marshal(layout{Tree: tree, Dir: m.dir, Cgroups: m.cgroups})
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"machine"}
	cmd.Env = append(environment(), initEnv+"="+string(plan))
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID |
		unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	var said bytes.Buffer
	cmd.Stderr = &said
	if m.hold, err = cmd.StdinPipe(); err != nil {
		return err
	}
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.first = cmd
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return errors.Join(err, m.hold.Close(), cmd.Wait(), errors.New(said.String()))
	}
	return nil
}

// end ends every process of the machine and checks that its cgroups go.
func (m *Machine) end() {
	if m.first != nil && m.first.ProcessState == nil {
		m.hold.Close()
		m.first.Process.Kill()
		m.first.Wait()
	}
	if err := errors.Join(removeCgroups(m.cgroups), os.RemoveAll(m.dir)); err != nil {
		m.t.Error(err)
	}
}

// PID is the machine's first process, as the machine below counts.
func (m *Machine) PID() int { return m.first.Process.Pid }

// Path names a file of the machine for the machine below. Absolute symbolic
// links on the way would lead to the files of the machine below.
func (m *Machine) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(m.PID()), "root", path)
}

// environment is that of every command.
func environment() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8", "TMPDIR=/tmp",
	}
}

// Command is a command to be started in the machine, as root and in its root
// folder. A first argument of the form NAME=VALUE adds to the environment. What
// it starts lives on after it, as on any machine.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	env := environment()
	for len(args) > 0 && strings.Contains(args[0], "=") && !strings.HasPrefix(args[0], "/") {
		env = append(env, args[0])
		args = args[1:]
	}
	// A process is moved into cgroups before it loses sight of them.
	script := `for f in ` + procsFiles(m.cgroups) + `; do echo 0 >$f || exit 125; done
exec nsenter --target ` + strconv.Itoa(m.PID()) + ` --mount --uts --ipc --net --pid --cgroup --root --wd -- "$@"`
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script, "machine"}, args...)...)
	cmd.Env = env
	return cmd
}

// Output is what a command wrote.
type Output struct{ Stdout, Stderr string }

// Try runs a command in the machine and returns what it wrote. An error holds
// the command and what it said.
func (m *Machine) Try(args ...string) (Output, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), Limit)
	defer cancel()
	var out, said bytes.Buffer
	cmd := m.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	o := Output{out.String(), said.String()}
	if errors.Is(err, exec.ErrWaitDelay) { // it has left a process behind that holds its output
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, o.Stdout, o.Stderr)
	}
	return o, err
}

// Run is Try for what has to succeed. It returns what the command wrote to its
// standard output, without white space around it.
func (m *Machine) Run(args ...string) string {
	m.t.Helper()
	o, err := m.Try(args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(o.Stdout)
}

// Fail is Try for what has to fail. It returns all that the command wrote.
func (m *Machine) Fail(args ...string) string {
	m.t.Helper()
	o, err := m.Try(args...)
	if err == nil {
		m.t.Fatalf("%s: succeeded, and should not have:\n%s%s", strings.Join(args, " "), o.Stdout, o.Stderr)
	}
	return o.Stdout + o.Stderr
}

// Write writes a file of the machine, and the folders above it.
func (m *Machine) Write(path, text string, mode os.FileMode) {
	m.t.Helper()
	m.put(path, strings.NewReader(text), mode)
}

// Copy copies a file of the machine below into the machine.
func (m *Machine) Copy(from, to string, mode os.FileMode) {
	m.t.Helper()
	f, err := os.Open(from)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	m.put(to, f, mode)
}

func (m *Machine) put(path string, from io.Reader, mode os.FileMode) {
	m.t.Helper()
	to := m.Path(path)
	err := os.MkdirAll(filepath.Dir(to), 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode); err == nil {
			_, err = io.Copy(f, from)
			err = errors.Join(err, f.Chmod(mode), f.Close())
		}
	}
	if err != nil {
		m.t.Fatal(err)
	}
}
