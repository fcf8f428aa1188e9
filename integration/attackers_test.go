package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What attackers try who may write annotations, or make the runtime lie to the hook. What
// each of them is trusted with is in docs/security.md.

// TestHostileAnnotations has values that are meant for a terminal, a log or a path. None
// gets there: what is said about them is one printable line, and no file is made.
func TestHostileAnnotations(t *testing.T) {
	const pod, namespace = "io.kubernetes.cri.sandbox-id", "io.kubernetes.cri.sandbox-namespace"
	for name, tt := range map[string]struct {
		annotations []string
		text        string
	}{
		"terminal":        {[]string{"io.timens.boottime", "\x1b]0;title\a\x1b[2J+1h"}, `"\x1b]0;title\a\x1b[2J+1h"`},
		"terminal, a key": {[]string{"io.timens.\x1b[31m", "+1h"}, `annotation "io.timens.\x1b[31m" is unknown`},
		"lines":           {[]string{"io.timens.boottime", "+1h\nlevel=info msg=native\n"}, `"+1h\nlevel=info msg=native\n"`},
		"direction":       {[]string{"io.timens.boottime", "+1h\u202e"}, `"+1h\u202e"`},
		"end of a string": {[]string{"io.timens.boottime", "+1h\x00-1h"}, `"+1h\x00-1h"`},
		"10 MB":           {[]string{"io.timens.boottime", strings.Repeat("9", 10<<20)}, "" /* differs: see TestGiant in security/ */},
		"path":            {[]string{"io.timens.save", "../../../../etc/cron.d/x"}, `"../../../../etc/cron.d/x" is no name for a snapshot`},
		"parent":          {[]string{"io.timens.save", ".."}, `".." is no name for a snapshot`},
		"absolute":        {[]string{"io.timens.resume", "saved:/etc/passwd"}, `"/etc/passwd" is no name of a snapshot`},
		"path of a pod":   {[]string{"io.timens.boottime", "=0", pod, "../../../tmp/x"}, `the ID of the container's pod, "../../../tmp/x", is none`},
		"namespace":       {[]string{"io.timens.save", "x", namespace, "../.."}, `"../.." is no namespace`},
		"another's":       {[]string{"io.timens.save", "x", namespace, "mine", "io.kubernetes.pod.namespace", "theirs"}, "contradict each other"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range stacks() {
				if s.runtime.key == "libcontainer" || s.runtime.knowsNone() {
					continue // what is said does not depend on them
				}
				if name == "end of a string" && s.mechanism == "hook" && s.runtime.isCrun() {
					continue // crun ends it there, and what it gives the hook is "+1h"
				}
				t.Run(s.String(), func(t *testing.T) {
					t.Parallel()
					require(t, s.runtime.key, s.runtime.problem())
					c := newContainer(t, s)
					annotate(c.spec, tt.annotations...)
					c.refused("create", "")
					said := c.try("create", "--bundle", c.bundle(), c.id).stderr
					checkPrintable(t, said+c.log())
					// logrus quotes once more what is quoted.
					if said = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(said); !strings.Contains(said, tt.text) {
						t.Errorf("the error is\n%s\nwant it to say\n%s", said, tt.text)
					}
				})
			}
		})
	}
}

// checkPrintable wants short lines that do nothing to a terminal.
func checkPrintable(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || len(line) > 4<<10 {
			t.Errorf("%d bytes, unprintable at %d: %.200q", len(line), i, line)
		}
	}
}

// TestHookLeavesOtherInitsAlone forges the state to name the init of another container,
// which waits for its own hooks: nothing but who started it tells it from the right one.
func TestHookLeavesOtherInitsAlone(t *testing.T) {
	for _, r := range lowLevels() {
		t.Run(r.key, func(t *testing.T) {
			t.Parallel()
			require(t, r.key, r.problem())
			victim := newContainer(t, stack{"none", r})
			state, release := filepath.Join(victim.dir, "state"), filepath.Join(victim.dir, "release")
			script := fmt.Sprintf("cat >%s.new; mv %s.new %s; until [ -e %s ]; do sleep 0.02; done", state, state, state, release)
			victim.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{
				Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")},
			}}}
			before := host(t)
			cmd := victim.command("run", "--bundle", victim.bundle(), victim.id)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the victim's hook", func() bool { _, err := os.Stat(state); return err == nil })
			var s specs.State
			text, err := os.ReadFile(state)
			if err != nil {
				t.Fatal(err)
			}
			victim.decode(string(text), &s)

			c := newContainer(t, stack{"none", r})
			c.prepareForged(s.Pid)
			if got := c.try("run", "--bundle", c.bundle(), c.id); got.exit == 0 || got.stdout != "" {
				t.Errorf("%+v", got)
			}
			if text := c.output("hook"); !strings.Contains(text, "which is not the init of a runtime that started this hook; its clocks are left alone") {
				t.Errorf("the hook said %q", text)
			}

			if err := os.WriteFile(release, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			seen := seen{before: before}
			report := make([]byte, 64<<10)
			n, _ := out.Read(report)
			seen.after = host(t)
			victim.decode(string(report[:n]), &seen.inside)
			want{}.check(t, seen, seen)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestProcMountedOver has the hook see something else in the place of /proc or of parts of
// it. Before the container's init is touched that is an error, and after it init's end.
func TestProcMountedOver(t *testing.T) {
	const pid = `pid=$(printf %s "$state" | tr -d '\n' | sed 's/.*"pid": *\([0-9]*\).*/\1/'); `
	for name, tt := range map[string]struct{ script, text string }{
		"nothing": {`mount -t tmpfs tmpfs /proc`, "/proc is not a proc file system: mount one there"},
		// The mount outlives the namespace.
		"another PID namespace": {`unshare --pid --fork mount -t proc proc /proc`, "/proc belongs to another PID namespace"},
		"another process":       {pid + `mount --bind /proc/1 /proc/$pid`, "something else is mounted there, which does not tell of the process: unmount it"},
		"the offsets":           {pid + `fake=$(mktemp); cat /proc/self/timens_offsets >$fake; mount --bind $fake /proc/$pid/timens_offsets; rm $fake`, "timens_offsets: something else is mounted there"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range lowLevels() {
				t.Run(r.key, func(t *testing.T) {
					t.Parallel()
					require(t, r.key, r.problem())
					c := newContainer(t, stack{"none", r})
					script := fmt.Sprintf(`state=$(cat) && %s && printf %%s "$state" | %s createRuntime >%s/hook 2>&1`, tt.script, c.hook, c.dir)
					c.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{
						Path: "/usr/bin/unshare", Args: []string{"unshare", "--mount", "sh", "-c", script},
						Env: []string{"PATH=" + os.Getenv("PATH"), "TIMENS_CONFIG=" + filepath.Join(c.dir, "timens.toml")},
					}}}
					ask(c, askMonotonic, askBoottime)
					if got := c.try("run", "--bundle", c.bundle(), c.id); got.exit == 0 || got.stdout != "" {
						t.Errorf("%+v", got)
					}
					if said := c.output("hook"); !strings.Contains(said, tt.text) || strings.Count(said, "\n") != 1 {
						t.Errorf("the hook said %q, want %q", said, tt.text)
					}
				})
			}
		})
	}
}

// TestHostileEnvironment gives the runtime, the shim and the hook an environment that no
// engine should have. Nothing in it changes what a container gets.
func TestHostileEnvironment(t *testing.T) {
	trap := filepath.Join(base, "trap")
	if err := os.Mkdir(trap, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(trap) })
	sprung := filepath.Join(trap, "sprung")
	for _, name := range []string{"runc", "crun", "youki", "timens-hook", "timens-runc", "criu", "unshare", "nsenter", "uname", "sh"} {
		if err := os.WriteFile(filepath.Join(trap, name), []byte("#!/bin/sh\necho $0 $* >>"+sprung+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	hostile := []string{
		"GODEBUG=madvdontneed=1,asyncpreemptoff=1,netdns=cgo,execerrdot=0,panicnil=1", "GOTRACEBACK=crash", "GOGC=1", "GOMEMLIMIT=1B", "GOMAXPROCS=1",
		"GOCOVERDIR=" + trap, "GORACE=halt_on_error=1", "LD_LIBRARY_PATH=" + trap, "LD_BIND_NOT=1", "BASH_ENV=" + sprung, "ENV=" + sprung, "IFS=/",
		"TIMENS_TEST_KILL_AT=unshared", "TIMENS_RUNTIMES=/bin/false", "TIMENS_POLICY=", "CRIU_CONFIG_FILE=/dev/zero",
		"HOME=/nonexistent", "TMPDIR=/nonexistent", "TZ=:/etc/passwd", "LC_ALL=tr_TR.UTF-8", "LISTEN_PID=1", "NOTIFY_SOCKET=/nonexistent",
	}
	eachStack(t, "both clocks", func(t *testing.T, s stack) {
		c := newContainer(t, s)
		c.env = append(c.env, hostile...)
		ask(c, askMonotonic, askBoottime)
		c.prepare()
		c.env = append(c.env, "PATH="+trap+":"+os.Getenv("PATH"), "XDG_RUNTIME_DIR="+trap)
		seen := c.run()
		asked.check(t, c.created, seen)
		if left := listing(t, trap); strings.Contains(left, "sprung") || strings.Contains(left, "oci-timens") || strings.Contains(left, "cov") {
			t.Errorf("left in what everybody can write to: %s", left)
		}
	})
}

// TestWritableConfiguration starts nothing by a configuration that others can write: it
// names the program that is run as root.
func TestWritableConfiguration(t *testing.T) {
	eachStack(t, "refuses bad requests", func(t *testing.T, s stack) {
		c := newContainer(t, s)
		ask(c, askMonotonic, askBoottime)
		c.prepare()
		if err := os.Chmod(filepath.Join(c.dir, "timens.toml"), 0o666); err != nil {
			t.Fatal(err)
		}
		c.refused("create", "has mode 0666, so that others than its owner could change it: chmod go-w it")
		if s.mechanism == "shim" {
			if r := c.try("state", c.id); r.exit != 1 || !strings.Contains(r.stderr, "has mode 0666") {
				t.Errorf("%+v", r)
			}
		}
	})
}

// files are what a process has open, without what differs between two containers.
func (c *container) files(pid int) (list []string) {
	c.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	for _, fd := range strings.Fields(listing(c.t, dir)) {
		to, err := os.Readlink(dir + fd)
		if err != nil {
			c.t.Fatal(err)
		}
		to = strings.ReplaceAll(to, c.id, "ID")
		if kind, number, ok := strings.Cut(to, ":["); ok && strings.HasSuffix(number, "]") && kind != "anon_inode" {
			to = kind
		}
		list = append(list, fd+" "+to)
	}
	return list
}

// TestInheritsNothing compares what init has open, while it waits and when it runs, and
// what a process has open that is executed later, with what they have without us.
func TestInheritsNothing(t *testing.T) {
	look := func(t *testing.T, s stack) (all [3][]string) {
		c := newContainer(t, s, "hold")
		if s.mechanism != "none" {
			ask(c, askMonotonic, askBoottime)
		}
		if r := c.create(); r.exit != 0 {
			t.Fatalf("create: %+v", r)
		}
		if s.runtime.isCrun() { // which has init close its end when create has returned
			waitFor(t, "init to wait", func() bool { return !strings.Contains(fmt.Sprint(c.files(c.pid)), "socket") })
		}
		all[0] = c.files(c.pid)
		c.must("start", c.id)
		c.report()
		all[1] = c.files(c.pid)
		if s.runtime.key == "libcontainer" { // whose exec does not leave the process alone
			c.stop()
			return all
		}
		pidFile := filepath.Join(c.dir, "exec-pid")
		out, err := os.Create(filepath.Join(c.dir, "exec"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd := c.command("exec", "--detach", "--pid-file", pidFile, c.id, "/probe", "hold")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			t.Fatal(err, c.output("exec"))
		}
		waitFor(t, "exec", func() bool { return strings.HasSuffix(c.output("exec"), "}\n") })
		var pid int
		text, err := os.ReadFile(pidFile)
		if _, e := fmt.Sscan(string(text), &pid); err != nil || e != nil {
			t.Fatal(err, e)
		}
		all[2] = c.files(pid)
		if err := unix.Kill(pid, unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "exec's end", func() bool {
			ended, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return ended == pid || err == unix.ECHILD
		})
		c.stop()
		return all
	}
	for _, r := range lowLevels() {
		t.Run(r.key, func(t *testing.T) {
			t.Parallel()
			require(t, r.key, r.problem())
			want := look(t, stack{"none", r})
			for _, mechanism := range []string{"hook", "shim"} {
				got := look(t, stack{mechanism, r})
				for i, who := range []string{"the waiting init", "init", "exec"} {
					if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
						t.Errorf("%s: %s has open\n%s\nand without us\n%s", mechanism, who, strings.Join(got[i], "\n"), strings.Join(want[i], "\n"))
					}
				}
			}
		})
	}
}

// TestIgnoredCrunKey denies what is asked by the key that crun itself obeys up to 1.8.3, where
// there is a time namespace already, and has denials ignored: crun must not give it then.
func TestIgnoredCrunKey(t *testing.T) {
	eachStack(t, "refuses bad requests", func(t *testing.T, s stack) {
		c := newContainer(t, s)
		c.toml = "[policy]\nmax-offset = \"1h\"\non-denied = \"ignore\"\n"
		dropNamespace(c.spec, specs.PIDNamespace)
		c.spec.Linux.Namespaces = append(c.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		annotate(c.spec, "run.oci.timens_offset", "boottime 7200 0")
		if s.runtime.isCrun() {
			c.refused("run", "because crun itself obeys annotation")
			return
		}
		before := host(t)
		r := c.try("run", "--bundle", c.bundle(), c.id)
		if s.runtime.knowsNone() { // and fails by itself where it is asked for one
			return
		}
		seen := seen{before: before, after: host(t)}
		c.decode(r.stdout, &seen.inside)
		want{}.check(t, seen, seen)
	})
}
