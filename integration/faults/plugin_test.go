package faults

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	nrilog "github.com/containerd/nri/pkg/log"
	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
)

// engine is the part of containerd that talks to plugins, with the plugin beside it.
type engine struct {
	t         *testing.T
	nri       *adaptation.Adaptation
	dir       string
	connected atomic.Int32
	pods      []*api.PodSandbox
}

// keptByID is where the plugin keeps the clocks of pods.
const keptByID = "/run/oci-timens/pods-by-id"

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, dir: filepath.Join(base, "engine")}
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "timens.toml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	nrilog.Set(quiet{})
	sync := func(ctx context.Context, tell adaptation.SyncCB) error {
		e.connected.Store(0)
		_, err := tell(ctx, e.pods, nil)
		return err
	}
	update := func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil }
	var err error
	e.nri, err = adaptation.New("faults", "1", sync, update, adaptation.WithSocketPath(e.socket()),
		adaptation.WithPluginPath(filepath.Join(e.dir, "none")), adaptation.WithPluginConfigPath(filepath.Join(e.dir, "none")), adaptation.WithMetrics(e))
	if err == nil {
		err = e.nri.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.nri.Stop)
	return e
}

func (e *engine) socket() string { return filepath.Join(e.dir, "nri.sock") }

// The engine counts its plugins when one has been synchronized.
func (e *engine) UpdatePluginCount(n int)                                                   { e.connected.Store(int32(n)) }
func (e *engine) RecordPluginInvocation(_, _ string, _ error)                               {}
func (e *engine) RecordPluginLatency(_, _ string, _ time.Duration)                          {}
func (e *engine) RecordPluginAdjustments(_, _ string, _ *api.ContainerAdjustment, _, _ int) {}

// quiet drops what the engine's side says of plugins that are killed.
type quiet struct{}

func (quiet) Debugf(context.Context, string, ...any) {}
func (quiet) Infof(context.Context, string, ...any)  {}
func (quiet) Warnf(context.Context, string, ...any)  {}
func (quiet) Errorf(context.Context, string, ...any) {}

// plugin is a running timens-nri.
type plugin struct {
	cmd  *exec.Cmd
	said bytes.Buffer
}

// start starts the plugin, at a gate if there is one, and waits until it is told what
// there is.
func (e *engine) start(g gate) (*plugin, error) {
	e.connected.Store(0)
	argv := []string{machine.Program(e.t, "timens-nri"), "--socket", e.socket(), "--listen", "", "--hook", "/hook",
		"--config", filepath.Join(e.dir, "timens.toml"), "--log-level", "error"}
	if g != "" {
		argv = g.grandchild(argv[0], argv[1:]...)
	}
	p := &plugin{cmd: command(argv, "PATH="+os.Getenv("PATH"))}
	p.cmd.Stderr = &p.said
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, within(limit, func() error {
		if e.connected.Load() == 0 {
			return errors.New("the plugin does not connect")
		}
		return nil
	})
}

// kill ends the plugin, which is this process where it is not the command itself.
func (p *plugin) kill(pid int) {
	_ = unix.Kill(cmp.Or(pid, p.cmd.Process.Pid), unix.SIGKILL)
	_ = p.cmd.Wait() // it was killed
}

// settles returns what the hook is told to set, or "" if there is no hook.
func settles(a *api.ContainerAdjustment) string {
	for _, h := range a.GetHooks().GetCreateRuntime() {
		return strings.Join(h.GetArgs(), " ")
	}
	return ""
}

// pluginTrial has a container created while the plugin is disturbed, and the engine go on
// with it, with a plugin that is not.
func (e *engine) pluginTrial(decide func(call) fault) (o outcome, x *trace, err error) {
	dir := filepath.Join(e.dir, fmt.Sprint(containers.Add(1)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return refused, nil, err
	}
	g, err := newGate(dir)
	if err != nil {
		return refused, nil, err
	}
	pod := &api.PodSandbox{Id: "pod" + filepath.Base(dir), Name: "p", Namespace: "n", Uid: "u",
		Annotations: map[string]string{"io.timens.boottime": "=0", "io.timens.monotonic": "+1h"}}
	e.pods = []*api.PodSandbox{pod}
	one := &api.Container{Id: "one", PodSandboxId: pod.Id, Name: "one"}
	x, err = g.follow(decide)
	if err != nil {
		return refused, nil, err
	}
	x.armed.Store(false)
	p, err := e.start(g)
	if err != nil {
		return refused, x, err
	}
	x.armed.Store(true)
	ctx := context.Background()
	made, err := e.nri.CreateContainer(ctx, &api.CreateContainerRequest{Pod: pod, Container: one})
	x.armed.Store(false)
	got := settles(made.GetAdjust())
	p.kill(x.pid)
	if e := x.end(); e != nil {
		return refused, x, e
	}
	switch {
	case err != nil && strings.TrimSpace(err.Error()) == "":
		return refused, x, errors.New("refused, and nobody is told why")
	case err == nil && got != "":
		o, one.Hooks = started, made.Adjust.Hooks
	}
	wasMade := err == nil

	clean, err := e.start("")
	if err != nil {
		return o, x, err
	}
	defer clean.kill(0)
	if wasMade {
		err := e.nri.StartContainer(ctx, &api.StartContainerRequest{Pod: pod, Container: one})
		if asks := got == ""; asks != (err != nil) {
			return o, x, fmt.Errorf("created with %q, and start says %v", got, err)
		}
	}
	two := &api.Container{Id: "two", PodSandboxId: pod.Id, Name: "two"}
	then, err := e.nri.CreateContainer(ctx, &api.CreateContainerRequest{Pod: pod, Container: two})
	if err != nil {
		return o, x, err
	}
	if s := settles(then.GetAdjust()); s == "" || got != "" && s != got {
		return o, x, fmt.Errorf("CONTAINERS OF ONE POD: %q, then %q", got, s)
	}
	if names := listing(keptByID); !slices.Equal(names, []string{pod.Id}) {
		return o, x, fmt.Errorf("kept are %q", names)
	}
	err = e.nri.StopPodSandbox(ctx, &api.StopPodSandboxRequest{Pod: pod})
	if names := listing(keptByID); len(names) > 0 {
		err = errors.Join(err, fmt.Errorf("left are %q", names))
	}
	return o, x, errors.Join(err, os.RemoveAll(dir))
}

// TestPlugin disturbs timens-nri while it is asked about a container: what has been
// created without it does not start, and all containers of a pod have the same clocks.
func TestPlugin(t *testing.T) {
	e := newEngine(t)
	all := func(call) bool { return true }
	files := func(c call) bool { return names[c.nr] != "" && !untouchable[c.nr] }
	sweep{name: "plugin is killed", counts: all, faults: kills, trial: e.pluginTrial, alone: true}.run(t)
	sweep{name: "plugin's files fail", counts: files, faults: errnos, trial: e.pluginTrial, alone: true}.run(t)
}
