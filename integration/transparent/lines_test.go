package transparent

import (
	"bytes"
	"flag"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// every says of how many lines one is run with real containers. TestArguments has them all.
var every = flag.Int("every", 5, "run one of so many command lines; 1 runs all, which takes some minutes")

// TestCommands runs every command of runc with its options in all forms.
func TestCommands(t *testing.T) {
	for _, r := range []lowLevel{runc, old, crun} {
		t.Run(r.name, func(t *testing.T) {
			step, count := *every, 0
			if r != runc && step > 1 {
				step *= 4
			}
			for _, c := range commands {
				var calls []call
				for i, l := range c.calls(r) {
					if i == 0 || i%step == 1%step {
						calls = append(calls, l)
					}
				}
				t.Run(c.name, func(t *testing.T) { same(t, r, func(w *world) { c.run(w, calls) }) })
				count += len(calls)
			}
			t.Logf("%d command lines, each of them bare, through the shim, and with defaults of ten days", count)
		})
	}
}

func (c command) run(w *world, calls []call) {
	begin := func() {
		mode := []string{"exit", "5"}
		if c.program != "" {
			mode = []string{c.program}
		}
		w.renew(nil, mode...)
		w.write("resources.json", `{"pids":{"limit":66}}`)
		for _, line := range c.setup {
			w.run(line)
		}
	}
	begin()
	for i, l := range calls {
		if c.fresh && i > 0 {
			begin()
		}
		if w.do(l) == 0 && c.name == "kill" && !strings.Contains(strings.ToLower(w.read(w.last().out)), "usage:") {
			w.awaitSignals()
		}
	}
}

// globals are what comes before a command, good and bad.
func globals() (lines []string) {
	for _, o := range []option{
		{"debug", "", ""}, {"log", "@/log", "@/none/log"}, {"log-format", "json", "xml"}, {"root", "@/root", "/"},
		{"systemd-cgroup", "", ""}, {"rootless", "false", "perhaps"},
	} {
		whole, cut := o.forms()
		for _, form := range whole {
			lines = append(lines, "!"+form+" state none")
			if o.name != "debug" { // which tells of several processes, in the order of the moment
				lines = append(lines, "!"+form+" run none")
			}
		}
		for _, form := range cut {
			lines = append(lines, "!"+form)
		}
	}
	for _, line := range []string{
		"", "--", "-", "''", "--version", "-v", "-version", "--version=true", "--version=false", "--help", "-h", "help", "h", "help create", "help none",
		"--none", "--none state c1", "--none=1 state c1", "-z state c1", "none", "none --help", "Create c1", "'' c1",
		"--root @/root -- state none", "-- state none", "- state none", "--log @/log --log-format json state none",
		"--log @/log --log-format text state none", "--log @/log --debug state none", "--log=@/log -log-format=json list",
		"--root @/root --root @/empty list", "--root @/none list", "--root '' list", "--root=. list", "--root ../.. list",
	} {
		lines = append(lines, "!"+line)
	}
	return lines
}

func TestGlobals(t *testing.T) {
	for _, r := range []lowLevel{runc, old} {
		t.Run(r.name, func(t *testing.T) {
			lines := globals()
			same(t, r, func(w *world) {
				w.renew(nil)
				for _, line := range lines {
					w.do(call{line: line, mask: strings.Contains(line, "debug")})
				}
			})
			t.Logf("%d command lines", len(lines))
		})
	}
}

// TestLog names logs for what works and for what does not.
func TestLog(t *testing.T) {
	for _, r := range []lowLevel{runc, old, crun} {
		t.Run(r.name, func(t *testing.T) {
			same(t, r, func(w *world) {
				for _, global := range []string{"--log @/log", "--log @/log --log-format text", "--log @/log --log-format json", "--log-format json", "--log @/none/log", "--log /dev/null", "--log log"} {
					for _, line := range []string{"run c1", "run ../other", "create -b @/none c1", "state none", "create --pid-file @/none/pid c1"} {
						w.renew(nil)
						w.write("log", "what was there\n")
						ours := ""
						if strings.HasPrefix(line, "create -b") {
							ours = "/none: no such file or directory"
						}
						w.do(call{line: global + " " + line, ours: ours})
					}
				}
			})
		})
	}
}

// TestBundles has config.json and bundle be what no runtime can use, or not be there.
func TestBundles(t *testing.T) {
	edits := map[string]func(*specs.Spec){
		"no process":     func(s *specs.Spec) { s.Process = nil },
		"no arguments":   func(s *specs.Spec) { s.Process.Args = nil },
		"no program":     func(s *specs.Spec) { s.Process.Args = []string{"/none"} },
		"no permission":  func(s *specs.Spec) { s.Process.Args = []string{"/proc"} },
		"no root":        func(s *specs.Spec) { s.Root = nil },
		"no rootfs":      func(s *specs.Spec) { s.Root.Path = "none" },
		"no version":     func(s *specs.Spec) { s.Version = "" },
		"bad version":    func(s *specs.Spec) { s.Version = "9.0.0" },
		"bad namespace":  func(s *specs.Spec) { s.Linux.Namespaces[0].Type = "none" },
		"two namespaces": func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces[0]) },
		"bad mount":      func(s *specs.Spec) { s.Mounts[0].Type = "none" },
		"bad path":       func(s *specs.Spec) { s.Process.Cwd = "relative" },
		"bad capability": func(s *specs.Spec) { s.Process.Capabilities.Bounding = []string{"CAP_NONE"} },
		"bad limit":      func(s *specs.Spec) { s.Process.Rlimits[0].Type = "RLIMIT_NONE" },
		"bad hook":       func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/none"}}} },
		"bad users": func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "user"})
		},
	}
	for _, r := range []lowLevel{runc, old, crun} {
		t.Run(r.name, func(t *testing.T) {
			same(t, r, func(w *world) {
				for _, name := range slices.Sorted(maps.Keys(edits)) {
					if name == "bad hook" && w.r == crun {
						continue // it says now this, now that
					}
					ours := "" // what is edited is read with care
					if name == "two namespaces" {
						if w.r == crun { // which takes them
							continue
						}
						ours = `linux.namespaces has two entries of type "pid": remove one`
					}
					w.renew(edits[name])
					w.note("config.json", name)
					w.do(call{line: "create c1", shifted: ours})
					w.run("state c1")
				}
				for _, text := range []string{"", "{", "null", "[]", "7", "{}", `{"linux":{}}`, `{"linux":[]}`, `{"ociVersion":1}`} {
					w.renew(nil)
					w.setConfig(text)
					w.do(call{line: "create c1", shifted: map[bool]string{true: "config.json: "}[!strings.HasPrefix(text, `{"ociVersion`) && text != "{}" && text != `{"linux":{}}`]})
				}
				w.renew(nil)
				w.do(call{line: "create -b @/none c1", ours: "/none: no such file or directory"})
				w.do(call{line: "create -b @/empty c1", ours: "/config.json: no such file or directory"})
				w.do(call{line: "create -b @/bundle/config.json c1", ours: "/config.json: not a directory"})
			})
		})
	}
}

// stdin gives a command something to read.
func stdin(text string) func(*exec.Cmd) {
	return func(c *exec.Cmd) { c.Stdin = bytes.NewBufferString(text) }
}
