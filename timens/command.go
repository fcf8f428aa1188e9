package timens

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Cmd is an exec.Cmd whose process runs in a new time namespace. Set its fields
// before it is started, as with any exec.Cmd.
type Cmd struct {
	*exec.Cmd
	offsets Offsets
	tied    bool // the process is killed when our thread ends; see atExec
}

// Command prepares a program to be run with the given offsets to the initial time
// namespace. It works from a program with any number of threads, on every kernel
// with time namespaces: neither clone3(2), which creates them unshifted and
// frozen, nor fork from a thread after unshare(2), which Go cannot do before
// Linux 6.2, comes into it. The new process is held at its exec, before its first
// instruction, until the kernel has confirmed the offsets.
//
// Starting it needs CAP_SYS_ADMIN and CAP_SYS_TIME in the user namespace that the
// program starts in; a SysProcAttr with a Credential that gives them up is refused
// by the kernel, one with CLONE_NEWUSER needs no privilege. Set-user-ID programs
// start without their privilege unless the caller has CAP_SYS_PTRACE.
func Command(o Offsets, name string, arg ...string) *Cmd {
	return &Cmd{Cmd: exec.Command(name, arg...), offsets: o}
}

// Start starts the program and does not wait for it; then call Wait.
func (c *Cmd) Start() error {
	host, err := ReadHost()
	if err != nil {
		return err
	}
	if err := c.offsets.Check(host.Clocks); err != nil {
		return err
	}
	c.tied = c.SysProcAttr == nil || c.SysProcAttr.Pdeathsig == 0
	return atExec(c.Cmd, func(t *tracee) error {
		err := c.release(t)
		if err != nil {
			c.Process.Kill()
			c.Wait()
		}
		return err
	})
}

// release shifts the clocks of the stopped process and lets it go.
func (c *Cmd) release(t *tracee) error {
	p, err := OpenProcess(t.pid)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := t.begin(); err != nil {
		return err
	}
	if err := t.shift(p, c.offsets, true); err != nil {
		return err
	}
	if c.tied {
		if _, err := t.call("prctl(PR_SET_PDEATHSIG)", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	return p.resend(t.signal)
}

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns what it wrote to standard output.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("timens: Stdout already set")
	}
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns what it wrote to standard output
// and standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stderr != nil {
		return nil, errors.New("timens: Stderr already set")
	}
	var both bytes.Buffer
	c.Stderr = &both
	if c.Stdout != nil {
		return nil, errors.New("timens: Stdout already set")
	}
	c.Stdout = &both
	err := c.Run()
	return both.Bytes(), err
}

// atExec starts cmd stopped at its exec and calls f on the thread that may trace
// it. f must let the process go or end it. Should we be killed before it is bound to us by
// PTRACE_O_EXITKILL, it would run with the clocks that it has: so it is to be killed when
// this thread ends, unless its Pdeathsig is something else.
func atExec(cmd *exec.Cmd, f func(*tracee) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	cmd.SysProcAttr.Ptrace = true // PTRACE_TRACEME in the child, before its exec
	if err := cmd.Start(); err != nil {
		if off := ptraceOff(); off != nil && errors.Is(err, syscall.EPERM) {
			return off
		}
		return err
	}
	t := &tracee{pid: cmd.Process.Pid}
	ws, err := t.wait()
	if err == nil && ws.StopSignal() != syscall.SIGTRAP {
		err = t.wrap(fmt.Errorf("it stopped with %v instead of at its exec", ws.StopSignal()))
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return err
	}
	return f(t)
}
