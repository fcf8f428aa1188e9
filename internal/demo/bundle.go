package demo

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// hookLimit is how long the hook may take, in seconds; it takes milliseconds.
var hookLimit = 10

// probePath is where the container finds this program.
const probePath = "/timensctl"

// makeRootfs makes a root file system below dir that holds this program and the
// mount points that a container needs, and returns its path.
func makeRootfs(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if err := checkStatic(self); err != nil {
		return "", err
	}
	root := filepath.Join(dir, "rootfs")
	for _, d := range []string{"proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return "", err
		}
	}
	return root, copyProgram(self, filepath.Join(root, probePath))
}

// checkStatic refuses a program that would need libraries in the container.
func checkStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically and cannot run in the demo's empty container: build it with \"make build\"", path)
		}
	}
	return nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// newSpec describes a container that runs the probe.
func newSpec(rootfs, id string, s scenario) *specs.Spec {
	return &specs.Spec{
		Version: "1.0.2", // what runc 1.1 and crun 1.8 know
		Root:    &specs.Root{Path: rootfs, Readonly: true},
		Process: &specs.Process{
			Args:            []string{probePath, "probe"},
			Env:             []string{"PATH=/"},
			Cwd:             "/",
			NoNewPrivileges: true,
			Capabilities:    &specs.LinuxCapabilities{},
		},
		Hostname: "timens-demo",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=64k"}},
		},
		Annotations: s.annotations(),
		Linux: &specs.Linux{
			CgroupsPath: "/" + id,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.NetworkNamespace},
			},
		},
	}
}

// configName is the configuration for hook and shim in the bundle directory: the
// machine's own may forbid what is shown.
const configName = "timens.toml"

// writeBundle makes the bundle directory with config.json and configuration.
// hook is the createRuntime hook, "" for none, and runtime the low-level runtime
// for the shim.
func (a *attempt) writeBundle(hook, runtime string) error {
	if err := os.Mkdir(a.bundle, 0o700); err != nil {
		return err
	}
	config := filepath.Join(a.bundle, configName)
	text := ""
	if runtime != "" {
		text = "runtimes = [" + strconv.Quote(runtime) + "]\n"
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	spec := newSpec(a.rootfs, a.id, a.scenario)
	if hook != "" {
		spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{
			{Path: hook, Args: []string{"timens-hook", "createRuntime"}, Env: []string{"TIMENS_CONFIG=" + config}, Timeout: &hookLimit},
		}}
	}
	data, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.bundle, "config.json"), data, 0o600)
}

// readSpec reads what writeBundle wrote.
func readSpec(dir string) (*specs.Spec, error) {
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	spec := new(specs.Spec)
	return spec, json.Unmarshal(data, spec)
}
