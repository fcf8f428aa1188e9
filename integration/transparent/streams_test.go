package transparent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// eachRuntime runs a scenario with every runtime.
func eachRuntime(t *testing.T, scenario func(w *world)) {
	for _, r := range []lowLevel{runc, old, crun} {
		t.Run(r.name, func(t *testing.T) { same(t, r, scenario) })
	}
}

func TestExitCodes(t *testing.T) {
	eachRuntime(t, func(w *world) {
		for _, code := range []string{"0", "1", "42", "126", "127", "128", "255"} {
			w.renew(nil, "exit", code)
			w.run("run c1")
		}
		w.renew(nil, "hold")
		w.run("run -d c1")
		w.run("exec c1 /tell inside exit 7")
		w.run("exec c1 /tell inside kill 15")
		w.run("exec c1 /tell inside kill 9")
		w.run("exec c1 /none")
		w.run("exec c1 /proc")
	})
}

func TestStreams(t *testing.T) {
	eachRuntime(t, func(w *world) {
		for _, text := range []string{"", "some text\n", strings.Repeat("much text\n", 100_000)} {
			w.renew(nil, "copy", "0")
			w.do(call{line: "run c1", set: stdin(text)})
		}
		w.renew(nil, "copy", "0")
		w.do(call{line: "run c1", set: func(c *exec.Cmd) { c.Stdout, c.Stdin = nil, strings.NewReader("lost") }})
		w.renew(nil, "hold")
		w.run("run -d c1")
		w.do(call{line: "exec c1 /tell inside copy 0", set: stdin("for exec\n")})
		w.do(call{line: "update -r - c1", set: stdin(`{"pids":{"limit":55}}`)})
		w.do(call{line: "update -r - c1", set: stdin(`{`)})
		w.do(call{line: "exec -p /dev/stdin c1", set: stdin(`{"args":["/tell","inside","exit","8"],"cwd":"/dev"}`)})
	})
}

// TestSignals sends signals to the runtime, which hands them on to the container.
func TestSignals(t *testing.T) {
	eachRuntime(t, func(w *world) {
		w.renew(nil, "hold")
		cmd, e := w.start(call{line: "run c1"})
		w.console = e.out
		w.waitFor("the container", func() bool { return strings.Contains(w.read(e.out), "ready\n") && w.initPID() != 0 })
		w.look(e)
		w.isRuntime(cmd)
		signals := []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGALRM}
		if w.r == crun { // 1.8 hands on only what makes it end
			signals = []unix.Signal{}
		}
		for _, s := range append(signals, unix.SIGTERM) {
			w.signal(cmd.Process.Pid, s)
			w.waitFor(s.String(), func() bool { return strings.Contains(w.read(e.out), fmt.Sprintf("signal %d\n", s)) })
		}
		w.finish(cmd, e)
		w.look(e)

		w.renew(nil, "hold")
		cmd, e = w.start(call{line: "run c1"})
		// crun writes its state when the container runs already.
		w.waitFor("the container", func() bool { return strings.Contains(w.read(e.out), "ready\n") && w.initPID() != 0 })
		w.signal(cmd.Process.Pid, unix.SIGKILL)
		w.finish(cmd, e)
		w.look(e)
	})
}

// isRuntime wants the process that was started to be the runtime by now.
func (w *world) isRuntime(cmd *exec.Cmd) {
	w.t.Helper()
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid))
	// crun starts itself anew from a mount of itself that nothing can write to.
	if err != nil || exe != w.r.path && (w.r != crun || exe != "/") {
		w.t.Errorf("%s: what was started is %s, %v", w.v.name, exe, err)
	}
}

// TestFiles hands open files on.
func TestFiles(t *testing.T) {
	eachRuntime(t, func(w *world) {
		give := func(c *exec.Cmd) {
			for i := range 3 {
				path := filepath.Join(base, "out", fmt.Sprintf("given%d-%d", len(w.entries), i))
				if err := os.WriteFile(path, []byte(fmt.Sprintf("file %d\n", i)), 0o600); err != nil {
					w.t.Fatal(err)
				}
				f, err := os.Open(path)
				if err != nil {
					w.t.Fatal(err)
				}
				c.ExtraFiles = append(c.ExtraFiles, f)
			}
		}
		for _, line := range []string{"run c1", "run --preserve-fds 1 c1", "run --preserve-fds=3 c1", "run --preserve-fds 4 c1"} {
			for _, mode := range [][]string{{"copy", "3"}, {"copy", "5"}, {"exit", "0"}} {
				w.renew(nil, mode...)
				w.do(call{line: line, set: give})
			}
		}
		for _, n := range []string{"0", "1", "3", "x"} {
			w.renew(nil)
			w.do(call{line: "run c1", set: func(c *exec.Cmd) {
				give(c)
				c.Env = append(slices.Clone(c.Env), "LISTEN_FDS="+n, "LISTEN_FDNAMES=a:b:c")
			}})
		}
		w.renew(nil, "hold")
		w.run("run -d c1")
		w.do(call{line: "exec --preserve-fds 2 c1 /tell inside copy 4", set: give})
	})
}

// TestPIDFiles compares them with the process that they are of.
func TestPIDFiles(t *testing.T) {
	eachRuntime(t, func(w *world) {
		for _, path := range []string{"@/pid", "pid", "../pid", "@/none/pid", "@/link", "@/empty", "''"} {
			w.renew(nil, "hold")
			w.write("pid", "what was there")
			if err := os.Symlink("elsewhere", w.path("link")); err != nil {
				w.t.Fatal(err)
			}
			if w.run("create --pid-file "+path+" c1") != 0 {
				continue
			}
			for _, name := range []string{"pid", "bundle/pid"} {
				text := w.read(w.path(name))
				w.note(name, fmt.Sprintf("is init's: %v", text == fmt.Sprint(w.initPID())))
			}
			w.run("start c1")
			w.run("exec -d --pid-file @/second c1 /tell inside hold")
			w.note("second", fmt.Sprintf("is init's: %v", w.read(w.path("second")) == fmt.Sprint(w.initPID())))
		}
	})
}

// TestEnvironment has the runtime read its own.
func TestEnvironment(t *testing.T) {
	eachRuntime(t, func(w *world) {
		for _, env := range []string{"", "XDG_RUNTIME_DIR=@/empty", "NOTIFY_SOCKET=@/none", "HOME=/none", "TMPDIR=/none", "LISTEN_PID=1", "_LIBCONTAINER_LOGLEVEL=9", "GODEBUG=x=1"} {
			w.renew(nil)
			w.do(call{line: "!run c1", set: func(c *exec.Cmd) { // in /run/runc, or what XDG_RUNTIME_DIR says
				if env != "" {
					c.Env = append(slices.Clone(c.Env), strings.ReplaceAll(env, "@", w.dir))
				}
			}})
			w.do(call{line: "!list", set: func(c *exec.Cmd) { c.Env = append(slices.Clone(c.Env), strings.ReplaceAll(env, "@", w.dir)) }})
		}
		w.renew(nil)
		w.do(call{line: "run c1", set: func(c *exec.Cmd) { c.Env = []string{"TIMENS_CONFIG=" + filepath.Join(base, "timens.toml")} }})
	})
}

// TestHooks has hooks tell when they are run, with what environment and state.
func TestHooks(t *testing.T) {
	eachRuntime(t, func(w *world) {
		hook := func(stage string, script string) []specs.Hook {
			return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "{ echo " + stage + "; cat; echo; env; } >>" + w.path("hooks") + script}, Env: []string{"HOOK=" + stage}}}
		}
		for _, fails := range []string{"", "prestart", "createRuntime", "poststart", "poststop"} {
			fail := func(stage string) string { return map[bool]string{true: "; exit 3"}[stage == fails] }
			w.renew(func(s *specs.Spec) {
				s.Hooks = &specs.Hooks{
					Prestart:      hook("prestart", fail("prestart")), //nolint:staticcheck // which engines still use
					CreateRuntime: hook("createRuntime", fail("createRuntime")),
					Poststart:     hook("poststart", fail("poststart")),
					Poststop:      hook("poststop", fail("poststop")),
				}
			}, "hold")
			w.run("create c1")
			w.run("start c1")
			if pid := w.initPID(); pid != 0 {
				w.run("kill c1 KILL")
				w.reap(pid)
				w.run("state c1")
			}
			w.run("delete c1")
			w.renew(nil)
		}
	})
}

// TestLifecycle walks a container through its states, with what does not fit each.
func TestLifecycle(t *testing.T) {
	eachRuntime(t, func(w *world) {
		again := func() {
			for _, line := range []string{"state c1", "create c1", "run c1", "start c1", "delete c1", "exec c1 /tell inside exit 0", "pause c1", "resume c1", "list -q"} {
				w.do(call{line: line, mask: strings.HasPrefix(line, "list")})
			}
		}
		w.renew(nil, "hold")
		w.run("create c1")
		w.do(call{line: "list"})
		w.run("create c1")
		w.run("pause c1")
		w.run("resume c1")
		w.run("start c1")
		w.run("create c1")
		w.run("start c1")
		w.run("delete c1")
		w.run("pause c1")
		w.run("state c1")
		w.run("exec c1 /tell inside exit 0")
		w.run("kill c1 USR1")
		w.run("resume c1")
		w.awaitSignals()
		pid := w.initPID()
		w.run("kill c1 KILL")
		w.reap(pid)
		w.run("kill c1 KILL")
		again()
		w.run("delete c1")
		w.run("delete c1")
		w.run("delete --force c1")
	})
}
