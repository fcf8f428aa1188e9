package docker

import (
	"strings"
	"sync"
	"testing"
)

// existing is a daemon.json with keys of others, and laid out by hand.
const existing = `{
	"log-driver":  "json-file", "log-opts": {"max-size": "10m",
		"max-file":"3"},
	"labels"   : [ "a=\u003cb\u003e" ],   "max-concurrent-downloads": 3,
  "runtimes": {
     "second": { "path": "/usr/bin/crun",
                 "runtimeArgs": ["--debug"] }
  }, "features": {"buildkit": true} , "default-shm-size": "64M"
}   `

// TestFiles edits files that are there. The daemon says whether it can read them.
func TestFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t, docker26, runc)
	modes := [][]string{{"--mode=runtime"}, {"--mode=cdi"}}
	for _, tt := range []struct {
		text string
		args [][]string
	}{
		{"", modes},
		{"{}", modes},
		{`{"debug":true}` + "\n", modes},
		{existing, append(modes, []string{"--set-default"}, []string{"--all-containers"})},
	} {
		for _, args := range tt.args {
			h.Run("rm", "-f", daemonJSON)
			if tt.text != "" {
				h.Write(daemonJSON, tt.text, 0o640)
			}
			same := h.remember()
			h.configure(append([]string{"--dry-run"}, args...)...)
			same()
			h.configure(args...)
			h.Run("dockerd", "--validate")
			after := h.remember()
			h.configure(args...)
			after()
			h.configure("--mode=cdi")
			h.configure("--mode=runtime")
			h.Run("dockerd", "--validate")
			h.configure("--remove")
			same()
			if t.Failed() {
				t.Fatalf("the above is about %v with %s", args, tt.text)
			}
		}
	}
}

// TestFilesRefused has files that cannot be edited: all stays as it is.
func TestFilesRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, docker26, runc)
	for _, tt := range []struct{ text, want string }{
		{"{\n  \"debug\": true,\n  \"runtimes\": {\n", daemonJSON + ": line"},
		{"{\n  \"debug\": true\n  \"x\": 1\n}\n", daemonJSON + ": line 3, column 3: invalid character"},
		{"[]", "an array, where a JSON object is needed"},
		{`{"runtimes": []}`, "runtimes is an array, where an object is needed"},
		{`{"features": 1}`, "features is a number, where an object is needed"},
		{`{"runtimes": {"timens": {"path": "/opt/other"}}}`, `the runtime "timens" is there already, and was not written by timensctl`},
	} {
		h.Write(daemonJSON, tt.text, 0o644)
		same := h.remember()
		mode := "--mode=runtime"
		if strings.Contains(tt.want, "features") {
			mode = "--mode=cdi"
		}
		if out := h.Fail("timensctl", "configure", "docker", mode); !strings.Contains(out, tt.want) || !strings.Contains(out, daemonJSON) {
			t.Errorf("%s: %s\nwant %s", tt.text, out, tt.want)
		}
		same()
	}
	h.Write(daemonJSON, existing, 0o644)
	h.Run("mount", "--bind", "-o", "ro", "/etc/docker", "/etc/docker")
	same := h.remember()
	if out := h.Fail("timensctl", "configure", "docker"); !strings.Contains(out, "nothing is changed: "+daemonJSON+" cannot be written: read-only file system") {
		t.Errorf("a file system that is only read: %s", out)
	}
	same()
	if out := h.Fail("timensctl", "configure", "docker", "--mode=hook"); !strings.Contains(out, "docker") || !strings.Contains(out, "hook") {
		t.Errorf("--mode=hook: %s", out)
	}
}

// TestTogether sets up several times at once, and takes out again.
func TestTogether(t *testing.T) {
	t.Parallel()
	h := newHost(t, docker26, runc)
	h.Write(daemonJSON, existing, 0o644)
	same := h.remember()
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			mode := []string{modeRuntime, modeCDI}[n%2]
			if _, err := h.Try("timensctl", "configure", "docker", "--mode", mode); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	h.Run("dockerd", "--validate")
	h.configure("--remove")
	same()
}
