package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/runtime-spec/specs-go"
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
