package transparent

import (
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cgroupParent is the cgroup of all containers here.
var cgroupParent = cgroupOf(base)

// cgroupOf names one after a folder, and not by a word of ours, which would have the shim
// look closer at config.json.
func cgroupOf(dir string) string { return "/" + strings.TrimPrefix(filepath.Base(dir), "timens-") }

func newSpec(mode []string) *specs.Spec {
	limit := int64(100)
	return &specs.Spec{
		Version:  "1.0.2",
		Root:     &specs.Root{Path: "rootfs"},
		Hostname: "transparent",
		Process: &specs.Process{
			Args: append([]string{"/tell", "inside"}, mode...), Cwd: "/", Env: []string{"PATH=/", "COLOUR=blue"},
			Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL"}},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 64, Soft: 64}},
		},
		Annotations: map[string]string{"org.example.colour": "blue"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: cgroupParent + "/c1",
			Resources:   &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			},
		},
	}
}
