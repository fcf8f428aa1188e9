package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
)

// result is how a command ended.
type result struct {
	exit           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d, stdout %.200q, stderr %.600q", r.exit, r.stdout, r.stderr)
}

// killed tells whether a program at a gate was.
func (r result) killed() bool { return r.exit == 128+int(unix.SIGKILL) && r.stdout == "" }

// call runs a command of the runtime, through the shim if c is shimmed, which waits at
// the gate if it is to be disturbed.
func (c *container) call(disturbed bool, args ...string) (result, error) {
	argv := []string{c.runtime.path}
	if c.shimmed {
		argv[0] = machine.Programs(c.t).Shim
	}
	argv = append(append(argv, "--root", c.root()), args...)
	if disturbed {
		argv = c.gate.grandchild(argv[0], argv[1:]...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = c.env(), c.dir
	return finish(cmd)
}

// command is one with an environment of its own.
func command(argv []string, env ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = env
	return cmd
}

// finish runs a command to its end.
func finish(cmd *exec.Cmd) (result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, 10*time.Second
	err := cmd.Start()
	if err == nil {
		stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
		err = cmd.Wait()
		stop()
	}
	r := result{-1, out.String(), errs.String()}
	if cmd.ProcessState != nil {
		r.exit = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = ctx.Err() // it has ended by itself, unless that took too long
	}
	if err != nil {
		err = fmt.Errorf("%q: %w: %v", cmd.Args, err, r)
	}
	return r, err
}

// run runs the container to its end.
func (c *container) run(disturbed bool) (result, error) {
	return c.call(disturbed && c.shimmed, "run", "--bundle", c.bundle(), c.id)
}

// attempt is run while the program at the gate is disturbed.
func (c *container) attempt(decide func(call) fault) (result, *trace, error) {
	x, err := c.gate.follow(decide)
	if err != nil {
		return result{}, nil, err
	}
	r, err := c.run(true)
	return r, x, errors.Join(err, x.end())
}

// judge tells whether a container that was run has started, with the clocks that it
// should have, or was refused, with an error.
func judge(t *testing.T, r result, want machine.Clocks) (outcome, error) {
	if r.stdout != "" {
		if got := machine.Ahead(t, machine.Report(t, r.stdout)); !got.Near(want) {
			return started, fmt.Errorf("RAN WITH OTHER CLOCKS, ahead by %+v instead of %+v: %v", got, want, r)
		}
		return started, nil
	}
	if r.exit == 0 || strings.TrimSpace(r.stderr) == "" {
		return refused, fmt.Errorf("nothing has started, and nobody was told: %v", r)
	}
	return refused, nil
}

// detached runs a command of the runtime that leaves a process behind. What both write
// is the result's standard error.
func (c *container) detached(args ...string) (result, error) {
	out, err := os.Create(filepath.Join(c.dir, "out"))
	if err != nil {
		return result{}, err
	}
	defer out.Close()
	cmd := exec.Command(c.runtime.path, append([]string{"--root", c.root()}, args...)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env(), c.dir, out, out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return result{}, err
	}
	text, err := os.ReadFile(out.Name())
	return result{exit: cmd.ProcessState.ExitCode(), stderr: string(text)}, err
}

// stop ends a container that was created, and removes it.
func (c *container) stop() error {
	_, err := c.call(false, "kill", c.id, "KILL")
	if err != nil {
		return err
	}
	return within(10*time.Second, func() error {
		r, err := c.call(false, "delete", "--force", c.id)
		if err == nil && r.exit != 0 {
			err = errors.New(r.String())
		}
		return err
	})
}
