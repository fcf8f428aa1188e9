package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oci-timens/config"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/timens"
)

// fakeFacts is a host of one's own, up 100 s.
type fakeFacts struct {
	name, version string
	k             plan.Kernel
	hookPath      string
	asked         *int // how often it was asked for anything
}

func (f fakeFacts) identify(path string) (lowlevel.Runtime, error) {
	*f.asked++
	if f.name == "" {
		return lowlevel.Runtime{}, errors.New("no answer")
	}
	return lowlevel.Runtime{Path: path, Name: f.name, Version: f.version}, nil
}
func (f fakeFacts) kernel(plan.Runtime) plan.Kernel { *f.asked++; return f.k }
func (f fakeFacts) hook() string                    { return f.hookPath }
func (f fakeFacts) clocks() (timens.Host, error) {
	*f.asked++
	return timens.Host{Clocks: timens.Clocks{Monotonic: 60 * time.Second, Boottime: 100 * time.Second}}, nil
}

// world is a bundle, a configuration and a runtime for one run of the shim.
type world struct {
	dir, bundle, log string
	stdout, stderr   bytes.Buffer
	execs            [][]string // path and argv of each exec
	facts            fakeFacts
	asked            int
	execErr          error
}

func newWorld(t *testing.T, configJSON, configTOML string) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	w.bundle, w.log = filepath.Join(w.dir, "bundle"), filepath.Join(w.dir, "engine.log")
	w.facts = fakeFacts{name: "runc", version: "1.5.2", hookPath: "/hooks/timens-hook", asked: &w.asked}
	w.write(t, "bundle/config.json", configJSON, 0o640)
	w.write(t, "bin/runc", "", 0o755)
	w.write(t, "config.toml", "runtimes = [\""+w.runtime()+"\"]\nlog-file = \""+w.dir+"/own.log\"\n"+configTOML, 0o644)
	t.Setenv(config.EnvPath, filepath.Join(w.dir, "config.toml"))
	t.Setenv("PATH", "/bin")
	return w
}

func (w *world) runtime() string { return filepath.Join(w.dir, "bin/runc") }

func (w *world) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (w *world) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// run calls the shim; "@" in an argument stands for the bundle.
func (w *world) run(args ...string) int {
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "@", w.bundle)
	}
	s := &shim{
		args: append([]string{"timens-runc"}, args...), stdout: &w.stdout, stderr: &w.stderr, facts: w.facts,
		exec: func(path string, argv, env []string) error {
			w.execs = append(w.execs, append([]string{path}, argv...))
			return w.execErr
		},
	}
	return s.run()
}

// checkExec wants exactly one exec, with the arguments that were given.
func (w *world) checkExec(t *testing.T, args ...string) {
	t.Helper()
	want := [][]string{append([]string{w.runtime(), w.runtime()}, args...)}
	if d := cmp.Diff(want, w.execs); d != "" {
		t.Errorf("exec: -want +got:\n%s\nstderr: %s", d, w.stderr.String())
	}
}

const (
	plainJSON = `{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid"}]}}`
	askJSON   = `{"annotations":{"io.timens.boottime":"+1h"},"linux":{"namespaces":[{"type":"pid"}]},"x":1e400}`
)

func TestNoRequestLeavesEverything(t *testing.T) {
	for _, args := range [][]string{
		{"create", "--bundle", "@", "c1"},
		{"--root", "/r", "run", "-b", "@", "c1"},
		{"state", "create"},
		{"--bogus", "exec", "c1", "ls"},
		{"create"},
	} {
		w := newWorld(t, plainJSON, "")
		if status := w.run(args...); status != 0 || w.stderr.Len() > 0 || w.asked > 0 {
			t.Errorf("%q: exit status %d, stderr %q, %d questions about the host", args, status, &w.stderr, w.asked)
		}
		w.checkExec(t, args...)
		if got := w.read(t, "bundle/config.json"); got != plainJSON {
			t.Errorf("%q: config.json is now %s", args, got)
		}
	}
}

func TestNative(t *testing.T) {
	w := newWorld(t, askJSON, "")
	if status := w.run("create", "-b", "@", "c1"); status != 0 {
		t.Fatalf("exit status %d: %s", status, &w.stderr)
	}
	w.checkExec(t, "create", "-b", w.bundle, "c1")
	want := strings.Replace(askJSON, `{"type":"pid"}]`, `{"type":"pid"},{"type":"time"}],`+
		`"timeOffsets":{"monotonic":{"secs":0,"nanosecs":0},"boottime":{"secs":3600,"nanosecs":0}}`, 1)
	if d := cmp.Diff(want, w.read(t, "bundle/config.json")); d != "" {
		t.Errorf("config.json: -want +got:\n%s", d)
	}
	if own := w.read(t, "own.log"); !strings.Contains(own, `level=info msg="native: runc 1.5.2 sets time offsets itself" container=c1 offsets="monotonic +0, boottime +1h"`) {
		t.Errorf("our log: %s", own)
	}
}

func TestHooks(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		stages        []string
	}{
		{"runc", "1.1.5", []string{"createRuntime", "poststart"}},
		{"crun", "1.8.1", []string{"createRuntime"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, askJSON, "")
			w.facts.name, w.facts.version = tt.name, tt.version
			t.Chdir(w.bundle) // the default bundle
			t.Setenv(config.EnvPath, "../config.toml")
			for range 2 { // a bundle that is started again gets no second hook
				if status := w.run("run", "c1"); status != 0 {
					t.Fatalf("exit status %d: %s", status, &w.stderr)
				}
			}
			type hook struct {
				Path      string
				Args, Env []string
			}
			var got struct{ Hooks map[string][]hook }
			if err := json.Unmarshal([]byte(w.read(t, "bundle/config.json")), &got); err != nil {
				t.Fatal(err)
			}
			want := map[string][]hook{}
			for _, stage := range tt.stages {
				want[stage] = []hook{{"/hooks/timens-hook", []string{"timens-hook", stage},
					[]string{"PATH=/bin", "TIMENS_CONFIG=" + w.dir + "/config.toml"}}}
			}
			if d := cmp.Diff(want, got.Hooks); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name, json, toml string
		args             []string
		facts            func(*fakeFacts)
		want             string
	}{
		{"bad annotation", `{"annotations":{"io.timens.boottime":"+1x"}}`, "", nil, nil,
			`annotation "io.timens.boottime": "+1x": unknown unit "x" (units are d h m s ms us ns) at position 3`},
		{"denied", askJSON, "[policy]\nmax-offset = \"1m\"", nil, nil,
			`annotation "io.timens.boottime": "+1h" is denied by the configuration of this host: the offset +1h is above policy.max-offset +1m`},
		{"no hook", askJSON, "", nil, func(f *fakeFacts) { f.name, f.hookPath = "crun", "" },
			`and timens-hook, which can, was not found: install it beside timens-runc or in /usr/libexec/oci/hooks.d`},
		{"unknown runtime", askJSON, "", nil, func(f *fakeFacts) { f.name = "" }, "no answer"},
		{"no JSON", `{`, "", nil, nil, "/config.json: "},
		{"two time namespaces", `{"annotations":{"io.timens.boottime":"+1h"},"linux":{"namespaces":[{"type":"time"},{"type":"time"}]}}`, "", nil, nil,
			`linux.namespaces has two entries of type "time": remove one`},
		{"no bundle", askJSON, "", []string{"create", "-b", "@/no", "c1"}, nil, "/bundle/no: no such file or directory"},
		{"bad configuration", plainJSON, "on-denied = 1", []string{"state", "c1"}, nil, `config.toml" line 3: unknown key "on-denied"`},
		{"no runtime", plainJSON, "", []string{"state", "c1"}, nil, "no low-level runtime found"},
		{"ambiguous", askJSON, "", []string{"--new", "x", "create", "-b", "@", "c1"}, nil, `unknown option "--new" before the command`},
		{"what only runc understands", plainJSON, "", []string{"create", "-b=@", "c1"}, func(f *fakeFacts) { f.name = "crun" },
			`: runc and other runtimes understand different bundles by it; write --bundle DIR`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.json, tt.toml)
			if tt.facts != nil {
				tt.facts(&w.facts)
			}
			if tt.name == "no runtime" {
				os.Remove(w.runtime())
			}
			if tt.args == nil {
				tt.args = []string{"create", "--bundle", "@", "c1"}
			}
			status := w.run(append([]string{"--log", w.log, "--log-format", "json"}, tt.args...)...)
			if status != 1 || len(w.execs) > 0 {
				t.Errorf("exit status %d, execs %q", status, w.execs)
			}
			msg, ok := strings.CutPrefix(w.stderr.String(), "timens-runc: ")
			if !ok || !strings.Contains(msg, tt.want) || strings.Count(msg, "\n") != 1 {
				t.Errorf("stderr %q\nwant one line with %q", &w.stderr, tt.want)
			}
			var line struct{ Level, Msg, Time string }
			if err := json.Unmarshal([]byte(w.read(t, "engine.log")), &line); err != nil || line.Level != "error" || line.Msg+"\n" != msg {
				t.Errorf("engine's log %+v, %v", line, err)
			}
			if _, err := time.Parse(time.RFC3339, line.Time); err != nil {
				t.Error(err)
			}
			if got := w.read(t, "bundle/config.json"); got != tt.json {
				t.Errorf("config.json is now %s", got)
			}
			if e, _ := os.ReadDir(w.bundle); len(e) != 1 {
				t.Errorf("left in the bundle: %v", e)
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	w := newWorld(t, askJSON, "policy.clocks = [\"monotonic\"]\npolicy.on-denied = \"ignore\"")
	if status := w.run("--log="+w.log, "create", "-b", "@", "c1"); status != 0 || w.stderr.Len() > 0 || len(w.execs) != 1 {
		t.Errorf("exit status %d, stderr %q, execs %q", status, &w.stderr, w.execs)
	}
	for _, name := range []string{"engine.log", "own.log"} {
		if text := w.read(t, name); !strings.Contains(text, "level=warning") || !strings.Contains(text, "ignored, as policy.on-denied says") {
			t.Errorf("%s: %q", name, text)
		}
	}
	if got := w.read(t, "bundle/config.json"); got != askJSON {
		t.Errorf("config.json is now %s", got)
	}
}

// Logs that cannot be written take nothing away from the message, and keep no
// container from starting.
func TestLogsThatFail(t *testing.T) {
	w := newWorld(t, `{"annotations":{"io.timens.boottime":""}}`, "")
	w.run("--log", w.dir+"/no/log", "create", "-b", "@", "c1")
	if s := w.stderr.String(); !strings.Contains(s, `annotation "io.timens.boottime"`) ||
		!strings.HasSuffix(s, " (and the log cannot be written: open "+w.dir+"/no/log: no such file or directory)\n") {
		t.Errorf("stderr %q", s)
	}
	w = newWorld(t, askJSON, "")
	if err := os.Mkdir(filepath.Join(w.dir, "own.log"), 0o755); err != nil {
		t.Fatal(err)
	}
	if status := w.run("--log", "file:"+w.log, "create", "-b", "@", "c1"); status != 0 {
		t.Errorf("exit status %d, %s", status, &w.stderr)
	}
	if text := w.read(t, "engine.log"); !strings.Contains(text, "level=warning msg=\"log file of the configuration: ") {
		t.Errorf("engine's log %q", text)
	}
}

func TestExecFails(t *testing.T) {
	w := newWorld(t, plainJSON, "")
	w.execErr = syscall.ENOEXEC
	status := w.run("--log", "journald:x", "list")
	if want := "timens-runc: exec " + w.runtime() + ": exec format error\n"; status != 1 || w.stderr.String() != want {
		t.Errorf("exit status %d, stderr %q, want %q", status, &w.stderr, want)
	}
}

func TestFindHook(t *testing.T) {
	w := newWorld(t, "", "")
	w.write(t, "a/timens-hook", "", 0o644) // not executable
	w.write(t, "b/timens-hook", "", 0o755)
	if got := findHook([]string{w.dir + "/no", w.dir + "/a", w.dir + "/b"}); got != w.dir+"/b/timens-hook" {
		t.Errorf("found %q", got)
	}
	if got := findHook([]string{w.dir + "/a"}); got != "" {
		t.Errorf("found %q", got)
	}
}

func TestFeatures(t *testing.T) {
	tests := []struct{ script, stdout string }{
		{`echo '{ "hooks": [] }'`, `{ "hooks": [], "potentiallyUnsafeConfigAnnotations": ["io.timens."] }` + "\n"},
		{`echo '{"potentiallyUnsafeConfigAnnotations":["a"]}'`, `{"potentiallyUnsafeConfigAnnotations":["a","io.timens."]}` + "\n"},
		{`echo '{"potentiallyUnsafeConfigAnnotations":["io.timens."]}'`, `{"potentiallyUnsafeConfigAnnotations":["io.timens."]}` + "\n"},
		{`echo '{"potentiallyUnsafeConfigAnnotations":1}'`, `{"potentiallyUnsafeConfigAnnotations":1}` + "\n"},
		{`echo usage: "$@"`, "usage: features --x\n"},
		{"", ""},
	}
	for _, tt := range tests {
		w := newWorld(t, "", "")
		w.write(t, "bin/runc", "#!/bin/sh\n"+tt.script+"\necho note >&2\nexit 7\n", 0o755)
		if status := w.run("features", "--x"); status != 7 || w.stdout.String() != tt.stdout || w.stderr.String() != "note\n" {
			t.Errorf("%s: exit status %d, stdout %q, stderr %q", tt.script, status, &w.stdout, &w.stderr)
		}
	}
	w := newWorld(t, "", "")
	w.write(t, "bin/runc", "#!/bin/sh\nkill -9 $$\n", 0o755)
	if status := w.run("features"); status != 137 {
		t.Errorf("a runtime that was killed: exit status %d", status)
	}
}
