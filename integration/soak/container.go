package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"oci-timens/internal/probe"
)

// container is one container of a start.
type container struct {
	*life
	id, dir string
	asks    asks
	spec    *specs.Spec
	config  []byte // config.json as it was written
	killed  bool   // its runtime was, half way

	pid    int           // of its init, once created
	before probe.Report  // the host's clocks before it was created
	after  probe.Report  // and after
	since  *probe.Report // and before it was settled what they read, if that was earlier
}

func (l *life) newContainer(a asks, args ...string) *container {
	c := &container{life: l, asks: a, id: fmt.Sprintf("soak-%d-%d", l.number, len(l.made))}
	c.dir = filepath.Join(l.s.dir, "containers", c.id)
	c.spec = &specs.Spec{
		Version: "1.0.2", Root: &specs.Root{Path: "rootfs", Readonly: true}, Annotations: a.annotations,
		Process: &specs.Process{
			Args: append([]string{"/probe"}, args...), Cwd: "/", Env: []string{"PATH=/"},
			NoNewPrivileges: true, Capabilities: &specs.LinuxCapabilities{},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: filepath.Join("/", filepath.Base(l.s.dir), c.id),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			},
		},
	}
	l.made = append(l.made, c)
	return c
}

func (c *container) bundle() string { return filepath.Join(c.dir, "bundle") }
func (c *container) root() string   { return filepath.Join(c.s.dir, "root", c.id) }

// write writes the bundle and the configuration.
func (c *container) write() error {
	for _, d := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(c.bundle(), "rootfs", d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Link(filepath.Join(c.s.dir, "probe"), filepath.Join(c.bundle(), "rootfs/probe")); err != nil {
		return err
	}
	toml := fmt.Sprintf("runtimes = [%q]\nsaved-dir = %q\n%s", c.runtime.path, filepath.Join(c.s.dir, "saved"), c.asks.toml)
	if err := os.WriteFile(filepath.Join(c.dir, "timens.toml"), []byte(toml), 0o644); err != nil {
		return err
	}
	if !c.shim {
		c.addHooks()
	}
	var err error
	if c.config, err = json.Marshal(c.spec); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.bundle(), "config.json"), c.config, 0o644)
}

func (c *container) env() []string {
	return []string{"TIMENS_CONFIG=" + filepath.Join(c.dir, "timens.toml"), "PATH=" + os.Getenv("PATH"), "SOAK=" + c.id}
}

func (c *container) addHooks() {
	hook := func(stage string) []specs.Hook {
		return []specs.Hook{{Path: filepath.Join(c.s.dir, "bin", "timens-hook"), Args: []string{"timens-hook", stage}, Env: c.env()}}
	}
	c.spec.Hooks = &specs.Hooks{CreateRuntime: hook("createRuntime"), Poststart: hook("poststart")}
	if c.asks.annotations["io.timens.save"] != "" {
		c.spec.Hooks.Poststop = hook("poststop")
	}
}

// result is how a command ended.
type result struct {
	exit           int
	stdout, stderr string
}

func (c *container) command(args ...string) *exec.Cmd {
	program := c.runtime.path
	if c.shim {
		program = filepath.Join(c.s.dir, "bin", "timens-runc")
	}
	cmd := exec.CommandContext(c.ctx, program, append([]string{"--root", c.root()}, args...)...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = c.env(), c.dir, 20*time.Second
	return cmd
}

// try runs one command of the runtime.
func (c *container) try(args ...string) (result, error) {
	var out, errs bytes.Buffer
	cmd := c.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := ranAnyway(cmd.Run())
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}, err
}

// ranAnyway has no error for a command that has failed by itself.
func ranAnyway(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// must runs one command that has to succeed, and returns what it wrote.
func (c *container) must(args ...string) (string, error) {
	r, err := c.try(args...)
	if err == nil && r.exit != 0 {
		err = fmt.Errorf("exit %d: %s%s", r.exit, r.stderr, r.stdout)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", args[0], err)
	}
	return r.stdout, err
}

// inFiles has a command write to files: what it starts lives on with them.
func (c *container) inFiles(cmd *exec.Cmd) (closer func(), err error) {
	var files []io.Closer
	closer = func() {
		for _, f := range files {
			f.Close()
		}
	}
	for name, to := range map[string]*io.Writer{"stdout": &cmd.Stdout, "stderr": &cmd.Stderr} {
		f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			closer()
			return nil, err
		}
		files = append(files, f)
		*to = f
	}
	return closer, nil
}

// create makes the container, by create or by run --detach.
func (c *container) create(how ...string) (err error) {
	args := append(how, "--bundle", c.bundle(), "--pid-file", filepath.Join(c.dir, "pid"), c.id)
	cmd := c.command(args...)
	closer, err := c.inFiles(cmd)
	if err != nil {
		return err
	}
	defer closer()
	if c.before, err = probe.Read(); err != nil {
		return err
	}
	runErr := cmd.Run()
	if c.after, err = probe.Read(); err != nil {
		return err
	}
	if runErr != nil {
		said, _ := os.ReadFile(filepath.Join(c.dir, "stderr"))
		return fmt.Errorf("%s: %w: %s", how[0], runErr, said)
	}
	return c.findInit()
}

// findInit reads the PID that the runtime has written, if it has.
func (c *container) findInit() error {
	text, err := os.ReadFile(filepath.Join(c.dir, "pid"))
	if err == nil {
		c.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	return err
}

// report waits for what the probe writes in a container that goes on.
func (c *container) report() (r probe.Report, err error) {
	var text []byte
	if !eventually(time.Minute, func() bool {
		text, err = os.ReadFile(filepath.Join(c.dir, "stdout"))
		return err != nil || bytes.HasSuffix(text, []byte("}\n"))
	}) {
		said, _ := os.ReadFile(filepath.Join(c.dir, "stderr"))
		return r, fmt.Errorf("the probe tells nothing: %q%q", text, said)
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// reap waits for the end of init, which becomes a child of this process. That it is none may
// be too early, as the crun that goes on behind "run --detach" ends after the one that was
// called, or too late.
func (c *container) reap() error {
	if c.pid == 0 {
		return nil
	}
	var err error
	if !eventually(time.Minute, func() bool {
		var pid int
		pid, err = unix.Wait4(c.pid, nil, unix.WNOHANG, nil)
		_, there := os.Stat(fmt.Sprintf("/proc/%d", c.pid))
		if errors.Is(err, unix.ECHILD) && errors.Is(there, fs.ErrNotExist) {
			c.s.note("inits that had been waited for already")
			err = nil
			return true
		}
		return pid == c.pid || err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECHILD)
	}) {
		err = errors.Join(errors.New("it has not ended"), err)
	}
	if err != nil {
		return fmt.Errorf("waiting for process %d: %w", c.pid, err)
	}
	c.pid = 0
	return nil
}
