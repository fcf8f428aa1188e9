package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"oci-timens/internal/engine"
	"oci-timens/internal/plan"
	"oci-timens/timens"
)

// enter makes the node's root this process's: an engine's configuration may lead
// through symbolic links, and its program must be asked for its version.
func (o *Options) enter() error {
	// As long as /proc is that of this process's own PID namespace.
	o.kernel = plan.Kernel{TimeNamespaces: timens.HaveTimeNamespaces(), ExecSwitch: timens.HaveExecSwitch()}
	if o.Host != "/" {
		if err := unix.Chroot(o.Host); err != nil {
			return fmt.Errorf("chroot to --host %q, for which CAP_SYS_CHROOT is needed: %w", o.Host, err)
		}
		if err := os.Chdir("/"); err != nil {
			return err
		}
		o.Host = "/"
	}
	for name, value := range map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		// systemctl does nothing where it finds itself in a chroot, unless it is told to
		// (systemd, docs/ENVIRONMENT.md).
		"SYSTEMD_IGNORE_CHROOT": "1",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) shim() string { return filepath.Join(o.Prefix, currentLink, "timens-runc") }

func (o *Options) setUpEngine() error {
	dir := filepath.Join(o.Prefix, currentLink)
	return o.engine(engine.Options{
		Engine: o.Engine, Mode: engine.ModeRuntime, Config: o.EngineConfig,
		Shim: o.shim(), Hook: filepath.Join(dir, "timens-hook"),
	})
}

func (o *Options) setBackEngine() error {
	return o.engine(engine.Options{Engine: o.Engine, Config: o.EngineConfig, Remove: true})
}

// engine has the engine's configuration changed, and the engine restarted if it was.
func (o *Options) engine(eo engine.Options) error {
	h := engine.ThisHost()
	h.Kernel = o.kernel
	eo.DryRun = true
	would, err := engine.Configure(h, eo)
	if err != nil {
		return fmt.Errorf("configure %s: %w", o.Engine, err)
	}
	if len(would.Changes) > 0 {
		// Before the change, so that a restart that did not come to pass is not forgotten.
		if err := replace(o.pending(), bootID(), 0o644); err != nil {
			return err
		}
		eo.DryRun = false
		if would, err = engine.Configure(h, eo); err != nil {
			return fmt.Errorf("configure %s: %w", o.Engine, err)
		}
	}
	for _, n := range would.Notes {
		o.say("note: %s", n)
	}
	for _, c := range would.Changes {
		o.say("%sd %s", c.Verb(), c.Path)
	}
	return o.restart(would.Restart)
}

// pending is a file that holds the ID of the boot in which a restart has become
// necessary: with another boot it has happened.
func (o *Options) pending() string { return filepath.Join(o.at(o.Prefix), pendingFile) }

func bootID() []byte {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return []byte("unknown\n")
	}
	return id
}

func (o *Options) restart(how string) error {
	since, err := os.ReadFile(o.pending())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		o.say("%s is set up already", o.Engine)
		return nil
	case err != nil:
		return err
	case string(since) != string(bootID()):
		return os.Remove(o.pending())
	case len(o.Restart) == 0:
		o.say("It has not been restarted. %s", how)
		return nil
	}
	command := strings.Join(o.Restart, " ")
	cmd := exec.Command(o.Restart[0], o.Restart[1:]...)
	cmd.Stdout, cmd.Stderr = o.Out, o.Out
	o.say("restarting %s: %s", o.Engine, command)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("--restart %q: %w: the configuration is changed, and takes effect when %s is restarted", command, err, o.Engine)
	}
	return os.Remove(o.pending())
}

// tasks are where containerd keeps what it knows of each running container; the file
// "runtime" in it holds the program that stops and removes it (WriteRuntime,
// cmd/containerd-shim-runc-v2/runc/container.go, the same in 1.7 and 2.4).
const tasks = "/run/containerd/io.containerd.runtime.v2.task/*/*/runtime"

// checkUnused refuses to take the shim away from containers that only it can stop.
func (o *Options) checkUnused() error {
	paths, err := filepath.Glob(o.at(tasks))
	if err != nil {
		return err
	}
	var ids []string
	for _, path := range paths {
		if runtime, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(runtime)) == o.shim() {
			ids = append(ids, filepath.Base(filepath.Dir(path)))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return fmt.Errorf("nothing is removed: %d containers of this node, such as %s, have %s as their runtime, and could not be stopped without it: "+
		"delete the pods with runtimeClassName: timens, or drain the node", len(ids), ids[0], o.shim())
}
