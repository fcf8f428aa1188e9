package timens

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracee is a process under ptrace(2) whose main thread makes system calls for
// us. Everything about it must run on one OS thread, the one that attached.
//
// A call is made by pointing the stopped thread at a system call instruction of
// its own (the vDSO has one) and letting it run to the end of that call. The
// thread may have been stopped anywhere: blocked in a system call, between two,
// in user mode. What makes that safe:
//
//   - every register is saved, and put back at the end;
//   - all signals are blocked meanwhile, so that no handler sees our registers;
//   - an interrupted system call, such as read(2), is restarted as the kernel would
//     after a signal without a handler, and the runtime never notices;
//   - PTRACE_O_EXITKILL: if we die half way, the process dies too, and a
//     container does not start with clocks that nobody asked for.
type tracee struct {
	pid    int
	regs   unix.PtraceRegs
	mask   uint64      // the signals that the thread blocks
	gadget uintptr     // address of a system call instruction
	signal unix.Signal // one to send again when the thread has been let go
}

const sizeofSigset = 8 // of the kernel's sigset_t, on every architecture here

// ptrace is ptrace(2) for the requests that x/sys/unix has no function for.
func ptrace(request int, pid int, addr, data uintptr, name string) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, data, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("ptrace("+name+")", errno)
	}
	return nil
}

// seize attaches to the main thread of p and stops it, wherever it is.
func seize(p *Process) (*tracee, error) {
	t := &tracee{pid: p.pid}
	if err := ptrace(unix.PTRACE_SEIZE, t.pid, 0, 0, "PTRACE_SEIZE"); err != nil {
		if off := ptraceOff(); off != nil && errors.Is(err, unix.EPERM) {
			err = off
		} else if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (it takes CAP_SYS_PTRACE in the user namespace of the process, and no other tracer)", err)
		}
		return nil, fmt.Errorf("process %d: %w", t.pid, err)
	}
	step("seized")
	if err := ptrace(unix.PTRACE_INTERRUPT, t.pid, 0, 0, "PTRACE_INTERRUPT"); err != nil {
		return nil, t.wrap(err)
	}
	if err := t.waitStop(); err != nil {
		return nil, err
	}
	step("interrupted")
	// Nothing is changed before it is certain that this is still the process that
	// was checked. EXITKILL, which would hit another, is not set yet.
	if err := p.alive(); err != nil {
		return nil, errors.Join(err, t.wrap(ptrace(unix.PTRACE_DETACH, t.pid, 0, 0, "PTRACE_DETACH")))
	}
	return t, nil
}

// kill ends the process and takes note of its death, without which its parent
// could not.
func (t *tracee) kill(p *Process) error {
	if err := unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("process %d could not be killed: %w", t.pid, err)
	}
	if s, err := p.Status(); err == nil && s.Parent == os.Getpid() {
		return nil // our own child, whose end somebody here waits for
	}
	for {
		if _, err := t.wait(); err != nil { // it ended, now or before
			return nil
		}
	}
}

// begin readies the stopped thread for calls.
func (t *tracee) begin() error {
	const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACESYSGOOD
	if err := ptrace(unix.PTRACE_SETOPTIONS, t.pid, 0, options, "PTRACE_SETOPTIONS"); err != nil {
		return t.wrap(err)
	}
	step("exitkill")
	if err := t.getRegs(&t.regs); err != nil {
		return t.wrap(err)
	}
	if err := checkRegs(&t.regs); err != nil {
		return t.wrap(err)
	}
	if err := t.sigmask(unix.PTRACE_GETSIGMASK, &t.mask); err != nil {
		return t.wrap(err)
	}
	all := ^uint64(0)
	if err := t.sigmask(unix.PTRACE_SETSIGMASK, &all); err != nil {
		return t.wrap(err)
	}
	var err error
	if t.gadget, err = t.findSyscall(); err != nil {
		return t.wrap(err)
	}
	step("saved")
	return nil
}

// call makes the thread run one system call and returns its result. Every
// argument register is set: what is left of the interrupted call is no argument.
func (t *tracee) call(name string, nr uintptr, args ...uintptr) (uintptr, error) {
	var all [6]uintptr
	copy(all[:], args)
	regs := t.regs
	setCall(&regs, t.gadget, nr, all)
	if err := t.setRegs(&regs); err != nil {
		return 0, t.wrap(err)
	}
	if err := t.clearCall(); err != nil {
		return 0, t.wrap(err)
	}
	for range 2 { // to the entry of the call, then to its end
		if err := t.resume(unix.PTRACE_SYSCALL, "PTRACE_SYSCALL"); err != nil {
			return 0, err
		}
		if err := t.waitCall(); err != nil {
			return 0, err
		}
	}
	if err := t.getRegs(&regs); err != nil {
		return 0, t.wrap(err)
	}
	ret := result(&regs)
	if errno := -int64(ret); errno > 0 && errno < 4096 {
		return 0, t.wrap(os.NewSyscallError(name, unix.Errno(errno)))
	}
	return ret, nil
}

// end puts everything back and lets the thread go on as if never stopped.
func (t *tracee) end() error {
	regs := t.regs
	restart(&regs)
	if err := t.setRegs(&regs); err != nil {
		return t.wrap(err)
	}
	if err := t.clearCall(); err != nil {
		return t.wrap(err)
	}
	if err := t.sigmask(unix.PTRACE_SETSIGMASK, &t.mask); err != nil {
		return t.wrap(err)
	}
	step("restored")
	return t.wrap(ptrace(unix.PTRACE_DETACH, t.pid, 0, 0, "PTRACE_DETACH"))
}

func (t *tracee) resume(request int, name string) error {
	return t.wrap(ptrace(request, t.pid, 0, 0, name))
}

// waitStop waits for the stop that PTRACE_INTERRUPT asked for. A signal that
// comes first is delivered: the Go runtime in runc's init sends itself some.
func (t *tracee) waitStop() error {
	for {
		ws, err := t.wait()
		if err != nil {
			return err
		}
		if ws>>16 == unix.PTRACE_EVENT_STOP {
			return nil
		}
		if err := ptrace(unix.PTRACE_CONT, t.pid, 0, uintptr(ws.StopSignal()), "PTRACE_CONT"); err != nil {
			return t.wrap(err)
		}
	}
}

// waitCall waits for the entry or the end of a system call. Of all signals only
// SIGSTOP can come meanwhile; it is kept, and sent again at the end.
func (t *tracee) waitCall() error {
	for {
		ws, err := t.wait()
		if err != nil {
			return err
		}
		if ws.StopSignal() == unix.SIGTRAP|0x80 { // PTRACE_O_TRACESYSGOOD
			return nil
		}
		if ws>>16 == 0 {
			t.signal = ws.StopSignal()
		}
		if err := t.resume(unix.PTRACE_SYSCALL, "PTRACE_SYSCALL"); err != nil {
			return err
		}
	}
}

// wait waits for the next stop of the thread.
func (t *tracee) wait() (unix.WaitStatus, error) {
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(t.pid, &ws, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		switch {
		case err != nil:
			return 0, t.wrap(os.NewSyscallError("wait4", err))
		case !ws.Stopped():
			return 0, t.wrap(errors.New("it ended while its clocks were being set"))
		}
		return ws, nil
	}
}

func (t *tracee) sigmask(request int, set *uint64) error {
	return ptrace(request, t.pid, sizeofSigset, uintptr(unsafe.Pointer(set)), "PTRACE_[GS]ETSIGMASK")
}

func (t *tracee) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("process %d: %w", t.pid, err)
}
