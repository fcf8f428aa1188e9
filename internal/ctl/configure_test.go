package ctl

import (
	"bytes"
	"testing"

	"oci-timens/internal/engine"
)

func TestConfigureArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "timensctl: an engine is missing: usage: timensctl configure podman|docker|containerd|crio\n"},
		{[]string{"podman", "docker"}, "timensctl: unexpected argument \"docker\": usage: timensctl configure podman|docker|containerd|crio\n"},
		{[]string{"lxc"}, "timensctl: configure lxc: unknown engine \"lxc\": want podman, docker, containerd or crio\n"},
		{[]string{"podman", "--mode=nri"}, "timensctl: configure podman: unknown mode \"nri\": want runtime, hook, precreate or cdi\n"},
	} {
		status, out, errs := timensctl(append([]string{"configure"}, tt.args...)...)
		if status != 1 || out != "" || errs != tt.want {
			t.Errorf("%q: status %d, %q, %q; want %q", tt.args, status, out, errs, tt.want)
		}
	}
}

func TestConfigureSays(t *testing.T) {
	r := &engine.Result{Engine: "podman", Version: "4.3.1", Mode: "hook", Reason: "so", Notes: []string{"a note"}, Restart: "Restart nothing.", Try: []string{"podman run"},
		Changes: []engine.Change{{Path: "/a", After: []byte("x\n")}, {Path: "/b", Before: []byte("x\n")}, {Path: "/c", Before: []byte("1"), After: []byte("2")}}}
	var b bytes.Buffer
	for _, tt := range []struct {
		name string
		engine.Options
		changes int
	}{
		{"done", engine.Options{}, 3},
		{"dry run", engine.Options{DryRun: true}, 3},
		{"nothing to do", engine.Options{}, 0},
		{"removed", engine.Options{Remove: true}, 3},
		{"nothing to remove", engine.Options{Remove: true}, 0},
	} {
		shown := *r
		shown.Changes = r.Changes[:tt.changes]
		if tt.Remove {
			shown.Try = nil
		}
		b.WriteString("== " + tt.name + "\n")
		writeConfigured(&b, tt.Options, &shown)
	}
	golden(t, "configure.txt", b.String())
}
