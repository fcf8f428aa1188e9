package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// writeBundle writes config.json anew: the shim has edited it.
func (b *bench) writeBundle(w *way, program string, args []string) error {
	inside := "/" + filepath.Base(program)
	s := specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{Args: append([]string{inside}, args...), Cwd: "/"},
		Mounts:  []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}, {Destination: "/dev", Type: "tmpfs", Source: "tmpfs"}},
		Linux: &specs.Linux{CgroupsPath: cgroup + "/" + w.id, Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}}},
	}
	if w.asks {
		s.Annotations = map[string]string{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"}
	}
	if w.large {
		enlarge(&s)
	}
	if w.byHand { // what is left is runc's own work on a time namespace
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 36 * 3600}, "boottime": {Secs: 36 * 3600}}
	}
	for i, args := range w.hooks {
		if w.alone && i == len(w.hooks)-1 {
			args = append([]string{b.own("measure"), w.measured()}, args...)
		}
		hook := []specs.Hook{{Path: args[0], Args: args, Env: b.command(w).Env}}
		if s.Hooks == nil {
			s.Hooks = &specs.Hooks{}
		}
		if i == 0 {
			s.Hooks.CreateRuntime = hook
		} else {
			s.Hooks.Poststart = hook
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for _, d := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(w.bundle, "rootfs", d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Link(program, filepath.Join(w.bundle, "rootfs", inside)); err != nil && !os.IsExist(err) {
		return err
	}
	toml := fmt.Sprintf("runtimes = [%q]\n", b.lowLevel(w))
	if err := os.WriteFile(filepath.Join(w.bundle, "timens.toml"), []byte(toml), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.bundle, "config.json"), text, 0o644)
}

// enlarge makes of s what is about as large as what an engine writes, some 15 kB, half of
// them names of system calls.
func enlarge(s *specs.Spec) {
	var names []string
	for i := range 400 {
		names = append(names, fmt.Sprintf("a_system_call_%d", i))
	}
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: names, Action: specs.ActAllow}}}
	for i := range 50 {
		s.Mounts = append(s.Mounts, specs.Mount{
			Destination: fmt.Sprintf("/some/mount/%d", i), Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "nodev", "mode=755"}})
	}
}

const cgroup = "/bench-of-clocks" // not a word of ours, which would have the shim look closer

func removeCgroups() {
	parents, _ := filepath.Glob("/sys/fs/cgroup/*" + cgroup) // the pattern is right
	for _, p := range append(parents, "/sys/fs/cgroup"+cgroup) {
		_ = os.Remove(p) // is not there in every hierarchy
	}
}
