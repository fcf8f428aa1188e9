//go:build cgo

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
)

const libcontainerModule = "github.com/opencontainers/runc"

// embedded runs containers with libcontainer, in this process. Its init is this
// program started as "timensctl init": cmd/timensctl hooks that up.
type embedded struct {
	hook string
	root string // libcontainer's state
}

func newEmbedded(hook, root string) (runner, error) {
	if hook == "" {
		return nil, errors.New("timens-hook was not found beside this program")
	}
	return &embedded{hook, root}, nil
}

func (e *embedded) title() string {
	return fmt.Sprintf("embedded libcontainer %s with %s as its createRuntime hook", moduleVersion(), filepath.Base(e.hook))
}

// libcontainer starts nothing unless someone sets device rules. The packages that
// do bring an eBPF compiler; the probe has no device node but the harmless default
// ones, and no capability to make another.
func init() {
	none := func(string, *cgroups.Resources) error { return nil }
	cgroups.DevicesSetV1, cgroups.DevicesSetV2 = none, none
}

// moduleVersion returns the version of libcontainer that was built in.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == libcontainerModule {
				return m.Version
			}
		}
	}
	return "of unknown version"
}

func (e *embedded) needs() (hook, runtime string) { return e.hook, "" }

func (e *embedded) start(ctx context.Context, dir, id string, stdio [3]*os.File) (container, error) {
	spec, err := readSpec(dir)
	if err != nil {
		return nil, err
	}
	// libcontainer takes the current directory for the bundle.
	if err := os.Chdir(dir); err != nil {
		return nil, err
	}
	defer func() { _ = os.Chdir("/") }()
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: id, Spec: spec, NoNewKeyring: true})
	if err != nil {
		return nil, err
	}
	c, err := libcontainer.Create(e.root, id, config)
	if err != nil {
		return nil, err
	}
	p := &libcontainer.Process{
		Init:   true,
		Args:   spec.Process.Args,
		Env:    spec.Process.Env,
		Cwd:    spec.Process.Cwd,
		Stdin:  stdio[0],
		Stdout: stdio[1],
		Stderr: stdio[2],
	}
	kill := func() { _ = c.Signal(os.Kill) }
	ec := &embeddedContainer{c, p, context.AfterFunc(ctx, kill)}
	if err := c.Run(p); err != nil {
		ec.remove()
		return nil, err
	}
	return ec, nil
}

type embeddedContainer struct {
	*libcontainer.Container
	process *libcontainer.Process
	unwatch func() bool
}

func (c *embeddedContainer) wait() error {
	_, err := c.process.Wait()
	return err
}

func (c *embeddedContainer) remove() {
	c.unwatch()
	_ = c.Signal(os.Kill) // no error matters: it has ended unless something failed
	_, _ = c.process.Wait()
	_ = c.Destroy()
}
