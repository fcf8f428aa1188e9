package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// container is one container of a test. It is gone, and looked for, when the
// test ends.
type container struct {
	t       *testing.T
	stack   stack
	id, dir string
	spec    *specs.Spec
	uid     int      // of whoever runs the runtime
	roots   []string // instead of --root and an absolute path
	before  []string // a command that runs the runtime
	holder  int      // a process in whose user namespace the runtime is run as root, or 0
	env     []string // for the runtime and for the hooks
	hook    string   // the hook binary
	toml    string   // more of the product's configuration

	prepared bool
	pid      int    // of its init, once created
	created  seen   // the host's clocks around its creation
	config   []byte // config.json as the test wrote it
}

var containers atomic.Int32

func newContainer(t *testing.T, s stack, probeArgs ...string) *container {
	t.Helper()
	id := fmt.Sprintf("it-%d-%d", os.Getpid(), containers.Add(1))
	c := &container{
		t: t, stack: s, id: id, dir: filepath.Join(base, id), spec: newSpec(id, probeArgs...),
		hook: filepath.Join(base, "bin/timens-hook"),
	}
	t.Cleanup(c.end)
	return c
}

func (c *container) bundle() string { return filepath.Join(c.dir, "bundle") }
func (c *container) root() string   { return filepath.Join(c.dir, "root") }

// prepare writes the bundle, once.
func (c *container) prepare() {
	c.t.Helper()
	if c.prepared {
		return
	}
	c.prepared = true
	for _, d := range []string{c.dir, c.root(), c.bundle()} {
		if err := os.Mkdir(d, 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.Chown(d, c.uid, c.uid); err != nil {
			c.t.Fatal(err)
		}
	}
	c.env = append(c.env, "TIMENS_CONFIG="+c.writeConfiguration(),
		"TIMENS_TEST_ID="+c.id, "PATH="+os.Getenv("PATH"), "XDG_RUNTIME_DIR="+c.dir)
	if c.stack.mechanism == "hook" {
		addHooks(c.spec, c.hook, c.env...)
	}
	writeBundle(c.t, c.bundle(), c.spec, c.uid)
	c.config = c.readConfig()
}

// writeConfiguration writes the product's configuration and returns its path.
func (c *container) writeConfiguration() string {
	c.t.Helper()
	path := filepath.Join(c.dir, "timens.toml")
	text := fmt.Sprintf("runtimes = [%q]\nlog-level = \"debug\"\nlog-file = %q\n%s",
		c.stack.runtime.path, filepath.Join(c.dir, "log"), c.toml)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func (c *container) readConfig() []byte {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.bundle(), "config.json"))
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// result is how a command ended.
type result struct {
	exit           int
	stdout, stderr string
}

// command is a call of the runtime, or of the shim before it.
func (c *container) command(args ...string) *exec.Cmd {
	c.prepare()
	program := c.stack.runtime.path
	if c.stack.mechanism == "shim" {
		program = filepath.Join(base, "bin/timens-runc")
	}
	global := []string{"--root", c.root()}
	if c.roots != nil {
		global = c.roots
	}
	if c.uid != 0 && c.stack.runtime.isCrun() {
		global = append(global, "--cgroup-manager=disabled")
	}
	argv := append(append([]string{program}, global...), args...)
	if c.holder != 0 {
		argv = append([]string{"nsenter", "--user", "--mount", "--target", strconv.Itoa(c.holder), "--"}, argv...)
	}
	argv = append(slices.Clone(c.before), argv...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = c.env
	cmd.Dir = c.dir
	cmd.WaitDelay = 20 * time.Second
	if c.uid != 0 && c.holder == 0 && c.before == nil {
		id := uint32(c.uid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
	return cmd
}

// finish runs a command to its end.
func (c *container) finish(cmd *exec.Cmd) result {
	c.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("%q: %v", cmd.Args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func (c *container) pidText() string { return strconv.Itoa(c.pid) }

// try runs one command of the runtime.
func (c *container) try(args ...string) result {
	c.t.Helper()
	return c.finish(c.command(args...))
}

// must runs one command of the runtime, which has to succeed.
func (c *container) must(args ...string) result {
	c.t.Helper()
	r := c.try(args...)
	if r.exit != 0 {
		c.t.Fatalf("%s %q: exit %d: %s%s", c.stack, args, r.exit, r.stderr, r.stdout)
	}
	return r
}

// observe runs a command whose output is a Report, between two looks at the host.
func (c *container) observe(args ...string) seen {
	c.t.Helper()
	s := seen{before: host(c.t)}
	r := c.must(args...)
	s.after = host(c.t)
	c.decode(r.stdout, &s.inside)
	return s
}

func (c *container) decode(text string, into any) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		c.t.Fatalf("the probe wrote %q: %v", text, err)
	}
}

// run runs the container in the foreground.
func (c *container) run() seen {
	c.t.Helper()
	c.created = c.observe("run", "--bundle", c.bundle(), c.id)
	return c.created
}

// exec reports from one more process in the container.
func (c *container) exec() seen {
	c.t.Helper()
	return c.observe("exec", c.id, "/probe")
}

// create makes the container, which then waits for start; its output goes to files.
func (c *container) create(options ...string) result {
	c.t.Helper()
	return c.createBy("create", options...)
}

func (c *container) createBy(command string, options ...string) result {
	c.t.Helper()
	pidFile := filepath.Join(c.dir, "pid")
	c.prepare()
	args := append([]string{command, "--bundle", c.bundle(), "--pid-file", pidFile}, options...)
	cmd := c.command(append(args, c.id)...)
	var files [2]*os.File
	for i, name := range []string{"stdout", "stderr"} {
		f, err := os.Create(filepath.Join(c.dir, name))
		if err != nil {
			c.t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	c.created.before = host(c.t)
	err := cmd.Run()
	c.created.after = host(c.t)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if text, err := os.ReadFile(pidFile); err == nil {
		if c.pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			c.t.Fatal(err)
		}
	}
	return result{cmd.ProcessState.ExitCode(), c.output("stdout"), c.output("stderr")}
}

func (c *container) output(name string) string {
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// start creates and starts the container and waits for the report of its init.
func (c *container) start() seen {
	c.t.Helper()
	if r := c.create(); r.exit != 0 {
		c.t.Fatalf("%s create: exit %d: %s%s", c.stack, r.exit, r.stderr, r.stdout)
	}
	c.must("start", c.id)
	return c.report()
}

// startDetached does in one call what start does in two.
func (c *container) startDetached() {
	c.t.Helper()
	if r := c.createBy("run", "--detach"); r.exit != 0 {
		c.t.Fatalf("%s run: exit %d: %s%s", c.stack, r.exit, r.stderr, r.stdout)
	}
	asked.check(c.t, c.created, c.report())
}

// report waits for what the init of a detached container writes.
func (c *container) report() seen {
	c.t.Helper()
	s := seen{before: c.created.before}
	var text string
	waitFor(c.t, "the probe's report", func() bool {
		text = c.output("stdout")
		return strings.HasSuffix(text, "}\n")
	})
	s.after = host(c.t)
	c.decode(text, &s.inside)
	return s
}

// reap waits for the init of a detached container, which is ours by now, to end.
func (c *container) reap() unix.WaitStatus {
	c.t.Helper()
	var status unix.WaitStatus
	waitFor(c.t, "the container's end", func() bool {
		pid, err := unix.Wait4(c.pid, &status, unix.WNOHANG, nil)
		if err != nil && err != unix.EINTR {
			c.t.Fatalf("waiting for %d: %v", c.pid, err)
		}
		return pid == c.pid
	})
	c.pid = 0
	return status
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// end removes whatever the test left of the container, and fails the test for
// what cannot be removed by the runtime.
func (c *container) end() {
	if !c.prepared {
		return
	}
	if listing(c.t, c.root()) != "" {
		c.try("kill", c.id, "KILL") // for a crun whose delete --force does not
		if c.pid != 0 {
			c.reap()
		}
		if r := c.try("delete", "--force", c.id); r.exit != 0 {
			c.t.Errorf("%s delete: exit %d: %s", c.stack, r.exit, r.stderr)
		}
	}
	if c.t.Failed() {
		c.t.Logf("%s logged:\n%s", c.stack, c.log())
	}
	c.checkGone()
	if err := os.RemoveAll(c.dir); err != nil {
		c.t.Error(err)
	}
}
