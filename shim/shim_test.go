package shim

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oci-timens/config"
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

// A mistake in the configuration keeps nobody from stopping a container.
func TestBadConfiguration(t *testing.T) {
	for _, args := range [][]string{{"kill", "c1"}, {"--root", "create", "delete", "c1"}, {"exec", "c1", "run"}, {"create", "--help"}, {"-v"}, {}} {
		w := newWorld(t, plainJSON, "colour = \"blue\"\npolicy = 7")
		if status := w.run(args...); status != 0 {
			t.Errorf("%q: exit status %d: %s", args, status, &w.stderr)
		}
		w.checkExec(t, args...)
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
	want = strings.Replace(want, `"x":1e400`, `"x":1e400,"io.timens.applied":{"timeOffsets":{"monotonic":{},"boottime":{"secs":3600}},"namespaceAdded":true}`, 1)
	if d := cmp.Diff(want, w.read(t, "bundle/config.json")); d != "" {
		t.Errorf("config.json: -want +got:\n%s", d)
	}
	if own := w.read(t, "own.log"); !strings.Contains(own, `level=info msg="native: runc 1.5.2 sets time offsets itself" container=c1 offsets="monotonic +0, boottime +1h"`) {
		t.Errorf("our log: %s", own)
	}
}

// A bundle that is started again has the clocks that are asked for then.
func TestNativeAgain(t *testing.T) {
	other := strings.Replace(askJSON, "boottime", "monotonic", 1)
	for name, tt := range map[string]struct{ now, toml, like string }{
		"no annotation":  {strings.Replace(askJSON, "io.timens.", "other.", 1), "", ""},
		"the other":      {other, "", other},
		"denied by now":  {askJSON, "policy.clocks = []\npolicy.on-denied = \"ignore\"", ""},
		"the same again": {askJSON, "", askJSON},
	} {
		t.Run(name, func(t *testing.T) {
			want := tt.now // without a trace of us
			if tt.like != "" {
				fresh := newWorld(t, tt.like, tt.toml)
				fresh.run("create", "-b", "@", "c1")
				want = fresh.read(t, "bundle/config.json")
			}
			w := newWorld(t, askJSON, "")
			w.run("create", "-b", "@", "c1")
			first, _, _ := strings.Cut(tt.now, ",")
			_, rest, _ := strings.Cut(w.read(t, "bundle/config.json"), ",")
			w.write(t, "bundle/config.json", first+","+rest, 0o644)
			w.write(t, "config.toml", "runtimes = [\""+w.runtime()+"\"]\n"+tt.toml, 0o644)
			if status := w.run("create", "-b", "@", "c1"); status != 0 {
				t.Errorf("exit status %d: %s", status, &w.stderr)
			}
			if d := cmp.Diff(want, w.read(t, "bundle/config.json")); d != "" {
				t.Errorf("config.json: -want +got:\n%s", d)
			}
		})
	}
}

// What Docker asks for without offsets, these runtimes do not stand.
func TestHooksDropTimeEntry(t *testing.T) {
	const entry = `,{"type":"time"}`
	asks := strings.Replace(askJSON, `{"type":"pid"}`, `{"type":"pid"}`+entry, 1)
	for version, kept := range map[string]bool{"runc 1.1.5": false, "crun 1.21": false, "runc 1.2.5": true} {
		w := newWorld(t, asks, "")
		w.facts.name, w.facts.version, _ = strings.Cut(version, " ")
		if status := w.run("create", "-b", "@", "c1"); status != 0 {
			t.Errorf("exit status %d: %s", status, &w.stderr)
		}
		if got := w.read(t, "bundle/config.json"); strings.Contains(got, entry) != kept || !strings.Contains(got, "timens-hook") {
			t.Errorf("%s: %s", version, got)
		}
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
			w.write(t, "old.toml", w.read(t, "config.toml"), 0o644)
			// A bundle that is started again gets no second hook, and none of before.
			for _, conf := range []string{"../old.toml", "../config.toml", "../config.toml"} {
				t.Setenv(config.EnvPath, conf)
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
					[]string{"PATH=/bin", "TIMENS_CONFIG=" + w.dir + "/config.toml", "GOMAXPROCS=1"}}}
			}
			if d := cmp.Diff(want, got.Hooks); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
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
