package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"oci-timens/internal/preflight"
)

// TestPreflight asks of containers that run whether they could be checkpointed: before
// and while another process is in them, which runc 1.1's exec leaves with the host's clocks.
func TestPreflight(t *testing.T) {
	for _, s := range stacks() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			require(t, "timens", missing("/proc/self/ns/time"))
			require(t, s.runtime.key, s.runtime.problem())
			s.needsClocks(t)
			c := newContainer(t, s, "hold")
			ask(c, askMonotonic, askBoottime)
			if _, err := c.findInit(); !errors.Is(err, preflight.ErrNotRunning) {
				t.Errorf("before it is created: %v", err)
			}
			c.start()
			if pid, err := c.findInit(); pid != c.pid || err != nil {
				t.Fatalf("init is %d, %v, want %d", pid, err, c.pid)
			}
			c.expectReady()
			end := c.hold(c.command("exec", c.id, "/probe", "hold"))
			if s.execJoins() {
				c.expectReady()
			} else {
				c.expectRefused()
			}
			end()
			c.expectReady()
			end = c.hold(c.enterCommand("--pid"))
			c.expectRefused()
			end()
			end = c.hold(c.enterCommand("--pid", "--time"))
			c.expectReady()
			end()
			c.expectReady()

			c.must("kill", c.id, "KILL")
			pid := c.pid
			c.reap()
			if _, err := c.findInit(); !errors.Is(err, preflight.ErrNotRunning) {
				t.Errorf("after its end: %v", err)
			}
			if err := preflight.Check(pid); !errors.Is(err, preflight.ErrNotRunning) {
				t.Errorf("after its end: %v", err)
			}
			c.must("delete", c.id)
		})
	}
}

// TestPreflightCgroup has containers in the host's PID namespace, whose tasks are told
// by their cgroup, unless the runtime has left them in that of the tests.
func TestPreflightCgroup(t *testing.T) {
	for _, r := range lowLevels() {
		for _, shared := range []bool{false, true} {
			if shared && !r.isCrun() {
				continue // runc knows no container without a cgroup
			}
			t.Run(fmt.Sprintf("%s, shared %v", r.key, shared), func(t *testing.T) {
				t.Parallel()
				require(t, r.key, r.problem())
				stack{"hook", r}.needsClocks(t)
				c := newContainer(t, stack{"hook", r}, "hold")
				dropNamespace(c.spec, specs.PIDNamespace)
				if shared {
					c.roots = []string{"--root", c.root(), "--cgroup-manager=disabled"}
				}
				ask(c, askMonotonic, askBoottime)
				c.start()
				c.expectReady()
				end := c.hold(c.command("exec", c.id, "/probe", "hold"))
				if c.stack.execJoins() {
					c.expectReady()
				} else {
					c.expectRefused()
				}
				end()
				c.stop()
			})
		}
	}
}

// TestCheckCheckpoint reads what timensctl says of containers.
func TestCheckCheckpoint(t *testing.T) {
	r := lowLevels()[2] // runc 1.1.5, whose exec does not join
	require(t, r.key, r.problem())
	stack{"hook", r}.needsClocks(t)
	c := newContainer(t, stack{"hook", r}, "hold")
	c.roots = []string{"--root", "/run/runc"} // private to the tests
	ask(c, askMonotonic, askBoottime)
	c.start()
	check := func() (text string, got struct {
		Processes int
		Works     bool
		Problems  []string
		Strays    []struct{ PID int }
		CRIU      struct{ Path string }
	}) {
		t.Helper()
		timensctl := func(args ...string) result {
			return c.finish(exec.Command(filepath.Join(base, "bin/timensctl"), append([]string{"check"}, args...)...))
		}
		table, data := timensctl("--checkpoint", c.id), timensctl("--checkpoint", c.pidText(), "-o", "json")
		c.decode(data.stdout, &got)
		if want := map[bool]int{true: 0, false: 1}[got.Works]; table.exit != want || data.exit != want || table.stderr+data.stderr != "" {
			t.Errorf("%+v, %+v", table, data)
		}
		return table.stdout, got
	}
	text, got := check()
	if want := fmt.Sprintf("%s, init probe[%d] in time:[", c.id, c.pid); !strings.Contains(text, want) {
		t.Errorf("no %q in %s", want, text)
	}
	if got.Processes != 1 || len(got.Strays) != 0 || got.Works != (got.CRIU.Path != "" && len(got.Problems) == 0) {
		t.Errorf("%+v", got)
	}
	end := c.hold(c.command("exec", c.id, "/probe", "hold"))
	text, got = check()
	if got.Processes != 2 || len(got.Strays) == 0 || got.Works || !strings.Contains(text, "✗ checkpoint: the container could not be restored: process ") {
		t.Errorf("%+v\n%s", got, text)
	}
	end()
	c.stop()
}

func (c *container) findInit() (int, error) {
	kind := "runc"
	if c.stack.runtime.isCrun() {
		kind = "crun"
	}
	return preflight.Init(kind, c.root(), c.id)
}

func (c *container) expectReady() {
	c.t.Helper()
	if err := preflight.Check(c.pid); err != nil {
		c.t.Error(err)
	}
}

// expectRefused wants another process than init to be named, which is there.
func (c *container) expectRefused() {
	c.t.Helper()
	err := preflight.Check(c.pid)
	if err == nil {
		c.t.Error("it could not be restored, and is not refused")
		return
	}
	var pid, init int
	_, text, _ := strings.Cut(err.Error(), ": ")
	_, e := fmt.Sscanf(text, `process %d ("probe") has other clocks than its init, process %d: it is in`, &pid, &init)
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if e != nil || init != c.pid || pid == c.pid || string(line) != "/probe\x00hold\x00" {
		c.t.Errorf("process %q: %v", line, err)
	}
}

// enterCommand runs one more process in the container without its runtime.
func (c *container) enterCommand(namespaces ...string) *exec.Cmd {
	args := append([]string{"--mount", "--target", c.pidText()}, namespaces...)
	return exec.Command("nsenter", append(args, "--", "/probe", "hold")...)
}

// hold starts a command which starts the probe, waits until that has reported, and
// returns what ends it.
func (c *container) hold(cmd *exec.Cmd) (end func()) {
	c.t.Helper()
	path := filepath.Join(c.dir, "held")
	out, err := os.Create(path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	waitFor(c.t, "the probe's report", func() bool { return strings.HasSuffix(c.output("held"), "}\n") })
	return func() {
		c.t.Helper()
		var children []byte // of what has started it, by any of its threads
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", cmd.Process.Pid))
		for _, t := range tasks {
			text, _ := os.ReadFile(t)
			children = append(children, text...)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
		if err == nil {
			err = unix.Kill(pid, unix.SIGTERM)
		}
		if err != nil {
			c.t.Error(err)
			cmd.Process.Kill()
		}
		if err := cmd.Wait(); err != nil {
			c.t.Errorf("%q: %v, %s", cmd.Args, err, c.output("held"))
		}
	}
}
