package kernels

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/integration/machine"
)

// host is a guest, or a machine on this kernel, in which the programs under test are
// installed.
type host interface {
	Try(args ...string) (machine.Output, error)
	Run(args ...string) string
	Write(path, text string, mode os.FileMode)
	Copy(from, to string, mode os.FileMode)
}

const (
	bundle  = "/run/bundle"
	hookAt  = "/usr/libexec/oci/hooks.d/timens-hook"
	toml    = "/etc/oci-timens/config.toml"
	logFile = "/run/timens.log"
)

// attempt is a container that is to run.
type attempt struct {
	runtime lowLevel
	hook    bool              // it has the hooks, and else the shim stands before the runtime
	asks    map[string]string // annotations
	args    []string          // of the probe
	toml    string            // more of the configuration
	before  []string          // a command that runs the runtime
}

// run runs it to its end, and returns what it and its runtime wrote, and what was logged.
func (a attempt) run(t *testing.T, h host) (out machine.Output, log string, err error) {
	t.Helper()
	h.Run("rm", "-rf", bundle, logFile, "/run/engine.log")
	h.Run("mkdir", "-p", bundle+"/rootfs/proc", bundle+"/rootfs/dev")
	h.Run("cp", "/run/probe", bundle+"/rootfs/probe")
	text, e := json.Marshal(a.spec())
	if e != nil {
		t.Fatal(e)
	}
	h.Write(bundle+"/config.json", string(text), 0o644)
	h.Write(toml, "runtimes = [\""+a.runtime.path+"\"]\nlog-file = \""+logFile+"\"\n"+a.toml, 0o644)
	program := "/usr/bin/timens-runc"
	if a.hook {
		program = a.runtime.path
	}
	out, err = h.Try(append(a.before, program, "--log", "/run/engine.log", "run", "--bundle", bundle, "odd")...)
	logged, e := h.Try("sh", "-c", "cat "+logFile+" /run/engine.log 2>/dev/null; true")
	if e != nil {
		t.Fatal(e)
	}
	return out, strings.ReplaceAll(logged.Stdout, `\"`, `"`), err
}

func (a attempt) spec() *specs.Spec {
	s := &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{Args: append([]string{"/probe"}, a.args...), Cwd: "/", Env: []string{"PATH=/"}},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: "/odd",
			Namespaces:  []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}},
		},
		Annotations: a.asks,
	}
	if a.hook {
		s.Hooks = &specs.Hooks{
			CreateRuntime: []specs.Hook{{Path: hookAt, Args: []string{"timens-hook", "createRuntime"}}},
			Poststart:     []specs.Hook{{Path: hookAt, Args: []string{"timens-hook", "poststart"}}},
		}
	}
	return s
}

// refused wants it not to run, for a reason that is told: where the user of the runtime
// looks, and else in the log.
func (a attempt) refused(t *testing.T, h host, reason string) {
	t.Helper()
	out, log, err := a.run(t, h)
	if err == nil || out.Stdout != "" {
		t.Errorf("it was to be refused: %v, stdout %q", err, out.Stdout)
	}
	if said := strings.ReplaceAll(out.Stderr, `\"`, `"`); !strings.Contains(said+log, reason) {
		t.Errorf("it was refused with\n%s\nlogged\n%s\nwant\n%s", said, log, reason)
	}
	if left := h.Run("sh", "-c", "ls /run/runc /run/crun /run/user 2>/dev/null | grep -w odd || true"); left != "" {
		t.Errorf("the runtime keeps %s", left)
	}
}

// install puts the programs under test, and the probe, into a host.
func install(t *testing.T, h interface {
	host
	Install()
}) {
	t.Helper()
	h.Install()
	h.Copy(machine.Programs(t).Probe, "/run/probe", 0o755)
}
