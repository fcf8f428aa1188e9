package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// shimmed runs containers as an engine does that has our shim for a runtime.
type shimmed struct {
	runtime Runtime
	shim    string
	root    string // the runtime's state, below the demo's directory
}

func (s *shimmed) title() string {
	return fmt.Sprintf("%s %s (%s) through %s", s.runtime.Name, s.runtime.Version, s.runtime.Path, filepath.Base(s.shim))
}

func (s *shimmed) needs() (hook, runtime string) { return "", s.runtime.Path }

func (s *shimmed) start(ctx context.Context, dir, id string, stdio [3]*os.File) (container, error) {
	cmd := exec.CommandContext(ctx, s.shim, "--root", s.root, "run", "--bundle", dir, id)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TIMENS_CONFIG="+filepath.Join(dir, configName))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdio[0], stdio[1], stdio[2]
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = startLimit / 6
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &shimContainer{s, id, cmd}, nil
}

type shimContainer struct {
	*shimmed
	id  string
	cmd *exec.Cmd
}

func (c *shimContainer) wait() error {
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(c.shim), err)
	}
	return nil
}

// remove asks the runtime itself, which is silent about a container that it does
// not know any more.
func (c *shimContainer) remove() {
	_ = exec.Command(c.runtime.Path, "--root", c.root, "delete", "--force", c.id).Run()
}
