package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

// lowLevel is a low-level runtime.
type lowLevel struct{ key, path string }

// lowLevels are the runtimes that trials are made with.
func lowLevels(t *testing.T) (list []lowLevel) {
	t.Helper()
	for key := range strings.SplitSeq(*runtimes, ",") {
		path := map[string]string{"runc-1.1.5": "/usr/sbin/runc", "crun-1.8.1": "/usr/bin/crun"}[key]
		if path == "" {
			path = machine.Tool(t, key)
		}
		if _, err := os.Stat(path); err != nil {
			testenv.Lacks(t, key, err)
		}
		list = append(list, lowLevel{key, path})
	}
	return list
}

// container is one container of a trial: its bundle, and the runtime's files.
type container struct {
	t       *testing.T
	runtime lowLevel
	id, dir string
	spec    *specs.Spec
	shimmed bool // started through the shim
	toml    string
	gate    gate
	config  []byte // config.json as it was written
}

var containers atomic.Int32

// rootfs is that of all containers: none writes to it.
var rootfs = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(base, "rootfs")
	for _, d := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
})

func (r lowLevel) container(t *testing.T, probeArgs ...string) (*container, error) {
	root, err := rootfs()
	if err != nil {
		return nil, err
	}
	probe := filepath.Join(root, "probe")
	if err := os.Link(machine.Programs(t).Probe, probe); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	id := fmt.Sprintf("fault-%d-%d", os.Getpid(), containers.Add(1))
	c := &container{t: t, runtime: r, id: id, dir: filepath.Join(base, id)}
	for _, d := range []string{c.bundle(), c.root(), filepath.Join(c.dir, "gate")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	c.spec = &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: root, Readonly: true},
		Process: &specs.Process{
			Args: append([]string{"/probe"}, probeArgs...), Cwd: "/", Env: []string{"PATH=/"},
			NoNewPrivileges: true, Capabilities: &specs.LinuxCapabilities{},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: cgroupParent + "/" + id,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			},
		},
		Annotations: map[string]string{},
	}
	c.gate, err = newGate(filepath.Join(c.dir, "gate"))
	return c, err
}

func (c *container) bundle() string { return filepath.Join(c.dir, "bundle") }
func (c *container) root() string   { return filepath.Join(c.dir, "root") }

func (c *container) ask(keysAndValues ...string) {
	for i := 0; i < len(keysAndValues); i += 2 {
		c.spec.Annotations[keysAndValues[i]] = keysAndValues[i+1]
	}
}

// hook adds timens-hook at a stage, behind the gate if that is what is disturbed.
func (c *container) hook(stage string, disturbed bool) {
	h := specs.Hook{Path: machine.Programs(c.t).Hook, Args: []string{"timens-hook", stage}, Env: c.env()}
	if disturbed {
		h.Args = c.gate.argv(h.Path, stage)
		h.Path = h.Args[0]
	}
	if c.spec.Hooks == nil {
		c.spec.Hooks = &specs.Hooks{}
	}
	switch stage {
	case "createRuntime":
		c.spec.Hooks.CreateRuntime = append(c.spec.Hooks.CreateRuntime, h)
	case "poststart":
		c.spec.Hooks.Poststart = append(c.spec.Hooks.Poststart, h)
	case "poststop":
		c.spec.Hooks.Poststop = append(c.spec.Hooks.Poststop, h)
	}
}

func (c *container) env() []string {
	return []string{"TIMENS_CONFIG=" + filepath.Join(c.dir, "timens.toml"), "TIMENS_TEST_ID=" + c.id, "PATH=" + os.Getenv("PATH")}
}

// write writes the bundle and the configuration.
func (c *container) write() (err error) {
	if c.config, err = json.MarshalIndent(c.spec, "", "\t"); err != nil {
		return err
	}
	toml := fmt.Sprintf("runtimes = [%q]\n%s", c.runtime.path, c.toml)
	return errors.Join(
		os.WriteFile(filepath.Join(c.bundle(), "config.json"), c.config, 0o644),
		os.WriteFile(filepath.Join(c.dir, "timens.toml"), []byte(toml), 0o644))
}
