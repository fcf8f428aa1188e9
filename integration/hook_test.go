package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// callHook runs the hook by itself with a state on its standard input, as a child
// of a shell that runs script first.
func callHook(t *testing.T, toml, script, state string) result {
	t.Helper()
	config := filepath.Join(t.TempDir(), "timens.toml")
	if err := os.WriteFile(config, []byte(toml), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", script+"\n"+filepath.Join(base, "bin/timens-hook"))
	cmd.Env = append(os.Environ(), "TIMENS_CONFIG="+config)
	cmd.Stdin = strings.NewReader(state)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

const asksInState = `"annotations":{"io.timens.boottime":"+1h"}`

// TestHookState feeds the hook states that no runtime should write.
func TestHookState(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for name, c := range map[string]struct{ toml, state, text string }{
		"empty":        {"", "", "container state: empty"},
		"truncated":    {"", `{"id":"x","pid":`, "container state: "},
		"no object":    {"", `[]`, "container state: "},
		"trailing":     {"", `{"id":"x","pid":1,` + asksInState + `} {}`, "container state: "},
		"no id":        {"", `{"pid":1,` + asksInState + `}`, "container state: missing required property: id"},
		"path as id":   {"", `{"id":"../x","pid":1,` + asksInState + `}`, `container state: id "../x" is no file name`},
		"no pid":       {"", `{"id":"x",` + asksInState + `}`, "container state: missing required property: pid"},
		"negative pid": {"", `{"id":"x","pid":-7,` + asksInState + `}`, "container state: pid -7 is below zero"},
		"huge":         {"", `{"id":"x","pid":1,"x":"` + strings.Repeat("x", 2<<20) + `"}`, "container state: larger than 1048576 bytes"},
		"huge value":   {"", `{"id":"x","pid":1,"annotations":{"io.timens.boottime":"` + strings.Repeat("9", 1<<19) + `"}}`, "is 524288 bytes long, at most 4095 are allowed"},
		"no bundle":    {"", `{"id":"x","pid":1}`, "container state: missing required property: bundle"},
		"empty bundle": {"", `{"id":"x","pid":1,"bundle":"` + empty + `"}`, "config.json: no such file or directory"},
		"no such pid":  {"", `{"id":"x","pid":4194000,` + asksInState + `}`, "process 4194000"},
		"bad toml":     {"runtimes = [\n", `{"id":"x","pid":1,` + asksInState + `}`, "timens.toml"},
		"unknown key":  {"colour = 1\n", `{"id":"x","pid":1,` + asksInState + `}`, "colour"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := callHook(t, c.toml, "", c.state)
			lines := strings.Count(r.stderr, "\n")
			if r.exit != 1 || r.stdout != "" || lines != 1 || len(r.stderr) > 2000 || !strings.Contains(r.stderr, c.text) {
				t.Errorf("exit %d, stdout %q, stderr %.2000q (%d lines), want 1 with %q", r.exit, r.stdout, r.stderr, lines, c.text)
			}
		})
	}
}

// TestHookDoesNothing covers the states in which the hook has to leave quickly.
func TestHookDoesNothing(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{
		"nothing asked": `{"id":"x","pid":1,"annotations":{"other":"1"}}`,
		"restored":      `{"id":"x","pid":1,"status":"stopped",` + asksInState + `}`,
	} {
		if r := callHook(t, "", "", state); r != (result{}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestHookLeavesOthersAlone has a state name processes that are no container's
// waiting init. They are refused and keep their clocks.
func TestHookLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	// Started by an ancestor of the hook, as an init is, and waiting.
	const other = `cd %s; %s >/dev/null & pid=$!; trap 'kill $pid' EXIT
sed "s/PID/$pid/" > state; exec < state; sleep 0.2`
	probe := filepath.Join(base, "bin/probe")
	for name, c := range map[string]struct{ start, text string }{
		"a process":              {probe + " hold", "it shares this hook's mount namespace"},
		"with a mount namespace": {"unshare -m " + probe + " hold", "not the init of a runtime that started this hook"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := fmt.Sprintf(other, t.TempDir(), c.start)
			r := callHook(t, "", script, `{"id":"x","pid":PID,`+asksInState+`}`)
			if r.exit != 1 || !strings.Contains(r.stderr, c.text) || !strings.Contains(r.stderr, "its clocks are left alone") {
				t.Errorf("%+v, want %q", r, c.text)
			}
		})
	}
}

// TestHookLeavesOtherContainersAlone forges the state that a real runtime gives
// to the hook: it names the process of a container that runs.
func TestHookLeavesOtherContainersAlone(t *testing.T) {
	for _, r := range lowLevels() {
		t.Run(r.key, func(t *testing.T) {
			t.Parallel()
			require(t, r.key, r.problem())
			victim := newContainer(t, stack{"none", r}, "hold")
			victim.start()
			c := newContainer(t, stack{"none", r})
			c.prepareForged(victim.pid)
			if got := c.try("run", "--bundle", c.bundle(), c.id); got.exit == 0 || got.stdout != "" {
				t.Errorf("%+v", got)
			}
			if text := c.output("hook"); !strings.Contains(text, "its clocks are left alone") {
				t.Errorf("the hook said %q", text)
			}
			want{}.check(t, victim.created, victim.exec())
			victim.stop()
		})
	}
}

// prepareForged gives the container a hook that is told of another process.
func (c *container) prepareForged(pid int) {
	script := fmt.Sprintf(`sed 's/"pid": *[0-9]*/"pid":%d/' | %s > %s/hook 2>&1`, pid, c.hook, c.dir)
	c.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH"), "TIMENS_CONFIG=" + filepath.Join(c.dir, "timens.toml")},
	}}}
	ask(c, askMonotonic, askBoottime)
	c.prepare()
}

// killSteps are the steps of an injection, as package timens names them.
var killSteps = []string{"seized", "interrupted", "exitkill", "saved", "unshared", "written", "entered", "verified", "restored", "detached"}

// killHookAt has the hook end with SIGKILL at a step.
func (c *container) killHookAt(step string) {
	c.hook = filepath.Join(base, "bin/timens-hook-kill")
	c.env = append(c.env, "TIMENS_TEST_KILL_AT="+step)
	ask(c, askMonotonic, askBoottime)
}

// TestHookKilled ends the hook with SIGKILL in the middle of its work. Whatever
// the runtime makes of that, the container never runs with other clocks than
// asked.
func TestHookKilled(t *testing.T) {
	for _, step := range killSteps {
		t.Run(step, func(t *testing.T) {
			for _, r := range lowLevels() {
				s := stack{"hook", r}
				t.Run(s.String(), func(t *testing.T) {
					t.Parallel()
					t.Cleanup(func() { record(t, "hook killed half way: fails closed", s) })
					require(t, r.key, r.problem())
					s.needsClocks(t)
					c := newContainer(t, s, "hold")
					c.killHookAt(step)
					// Only an init with one thread enters by itself.
					reached := step != "entered" || r.isCrun()
					if result := c.create(); result.exit != 0 {
						if !reached {
							t.Errorf("create failed, but the hook never takes this step: %s", result.stderr)
						}
						return
					}
					if reached {
						t.Error("the runtime went on although the hook was killed")
					}
					c.must("start", c.id)
					asked.check(t, c.created, c.report())
					c.stop()
				})
			}
		})
	}
}

// TestPoststartRoots has runc keep its state where poststart must look for it: the
// last --root counts, and a relative one is meant from where runc was started.
func TestPoststartRoots(t *testing.T) {
	for name, roots := range map[string][]string{
		"relative":      {"--root=root"},
		"two":           {"--root", "/nonexistent", "--root", "root"},
		"one-dash long": {"-root", "root"},
	} {
		for _, command := range []string{"create", "run"} {
			t.Run(name+" "+command, func(t *testing.T) {
				t.Parallel()
				s := stack{"hook", lowLevels()[1]}
				require(t, s.runtime.key, s.runtime.problem())
				s.needsClocks(t)
				c := newContainer(t, s, "hold")
				ask(c, askMonotonic, askBoottime)
				c.roots = roots
				c.env = append(c.env, "PWD="+c.dir)
				if command == "run" {
					c.startDetached()
				} else {
					asked.check(t, c.created, c.start())
				}
				c.checkExec(asked)
				c.stop()
			})
		}
	}
}

// TestPoststartHidden runs everything where a user sees no other's processes.
func TestPoststartHidden(t *testing.T) {
	s := stack{"hook", lowLevels()[1]}
	require(t, s.runtime.key, s.runtime.problem())
	s.needsClocks(t)
	c := newContainer(t, s, "hold")
	c.uid = plainUser
	mapUsers(c.spec, plainUser, 1)
	c.spec.Linux.CgroupsPath = ""
	c.before = []string{"unshare", "--mount", "sh", "-c", `mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 4242 --regid 4242 --clear-groups "$@"`, "sh"}
	ask(c, askMonotonic, askBoottime)
	asked.check(t, c.created, c.start())
	c.checkExec(asked)
	c.stop()
}
