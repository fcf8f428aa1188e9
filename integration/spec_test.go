package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cgroupParent is the cgroup below which all containers of the tests live.
const cgroupParent = "/timens-it"

// newSpec is a small container that runs the probe.
func newSpec(id string, args ...string) *specs.Spec {
	return &specs.Spec{
		Version:  "1.0.2",
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: "timens",
		Process: &specs.Process{
			Args: append([]string{"/probe"}, args...), Cwd: "/", Env: []string{"PATH=/"},
			NoNewPrivileges: true, Capabilities: &specs.LinuxCapabilities{},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: cgroupParent + "/" + id,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			},
		},
	}
}

func dropNamespace(s *specs.Spec, typ specs.LinuxNamespaceType) {
	kept := s.Linux.Namespaces[:0]
	for _, n := range s.Linux.Namespaces {
		if n.Type != typ {
			kept = append(kept, n)
		}
	}
	s.Linux.Namespaces = kept
}

// mapUsers gives the container a user namespace: root inside is first outside.
func mapUsers(s *specs.Spec, first, count uint32) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: count}}
	s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
}

// addHooks adds the product's hooks as an engine would, with their environment.
func addHooks(s *specs.Spec, path string, env ...string) {
	s.Hooks = &specs.Hooks{
		CreateRuntime: []specs.Hook{{Path: path, Args: []string{"timens-hook", "createRuntime"}, Env: env}},
		Poststart:     []specs.Hook{{Path: path, Args: []string{"timens-hook", "poststart"}, Env: env}},
	}
	if s.Annotations["io.timens.save"] != "" {
		s.Hooks.Poststop = []specs.Hook{{Path: path, Args: []string{"timens-hook", "poststop"}, Env: env}}
	}
}

func annotate(s *specs.Spec, keysAndValues ...string) {
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	for i := 0; i < len(keysAndValues); i += 2 {
		s.Annotations[keysAndValues[i]] = keysAndValues[i+1]
	}
}

// writeBundle makes a bundle of a spec below dir, owned by uid.
func writeBundle(t *testing.T, dir string, s *specs.Spec, uid int) {
	t.Helper()
	rootfs := filepath.Join(dir, "rootfs")
	for _, d := range []string{"proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(rootfs, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(base, "bin/probe"), filepath.Join(rootfs, "probe")); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, rootfs, filepath.Join(dir, "config.json")} {
		if err := os.Lchown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
}

// listing is what a folder holds, in one line.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return strings.Join(names, " ")
}
