package timens

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Inject gives a process that has yet to exec its program, such as a container's
// init, a new time namespace with the given offsets to the initial one: the
// process itself, made to by ptrace(2), creates it; we write the offsets; and the
// exec of the program enters it.
//
// A process with one thread enters at once, by setns(2), whatever it goes on to do.
// One with more has to exec, from its main thread, on a kernel where that is enough
// (Linux 6.2): elsewhere it is refused before anything is touched, with an error
// that matches [ErrNotSupported]. So is a kernel without time namespaces. Offsets that the kernel would not take are a [*RangeError].
//
// Afterwards the kernel has been asked whether it holds exactly these offsets. If
// Inject fails once the process has been changed, the process is killed: it can
// not go on to run a program with other clocks. So is one that takes 30 s to stop.
//
// The process needs CAP_SYS_ADMIN in its user namespace, the caller CAP_SYS_TIME
// and, unless it has the same user, CAP_SYS_PTRACE in it.
func Inject(p *Process, o Offsets) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return InjectLocked(p, o)
}

// InjectLocked is Inject for a goroutine that stays on its thread already: one that
// has called runtime.LockOSThread, or an init function, which Go runs on the main
// thread. To lock a thread starts another one, which takes longer than the rest.
func InjectLocked(p *Process, o Offsets) error {
	enter, err := checkInject(p, o)
	if err != nil {
		return err
	}
	late := p.killAfter(patience)
	err = p.inject(o, enter)
	if late() && err != nil {
		return fmt.Errorf("process %d did not stop, or not return from a system call, within %v, and was killed: %w", p.pid, patience, err)
	}
	return err
}

func (p *Process) inject(o Offsets, enter bool) error {
	t, err := seize(p)
	if err != nil {
		return err
	}
	err = t.begin()
	if err == nil {
		err = t.shift(p, o, enter)
	}
	if err == nil {
		err = t.end()
	}
	if err != nil {
		// Killed rather than let go: what it has by now is not known.
		return errors.Join(err, t.kill(p))
	}
	step("detached")
	return p.resend(t.signal)
}

// patience is how long an injection may take, which takes a millisecond. A process can
// be frozen, or its system call be held up by a seccomp filter that asks somebody.
var patience = 30 * time.Second

// killAfter ends the process after a time, unless the function that it returns is called
// before, which tells whether it was too late.
func (p *Process) killAfter(d time.Duration) (stop func() (late bool)) {
	done := make(chan struct{})
	timer := time.AfterFunc(d, func() {
		defer close(done)
		_ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0) // gone is fine too
	})
	return func() bool {
		if timer.Stop() {
			return false
		}
		<-done
		return true
	}
}

// resend sends a signal that came while the process was traced. From the stop at
// which a seized thread is let go, PTRACE_DETACH itself delivers none.
func (p *Process) resend(sig unix.Signal) error {
	if sig == 0 {
		return nil
	}
	if err := unix.PidfdSendSignal(p.pidfd, sig, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("process %d: %v came meanwhile and could not be sent again: %w", p.pid, sig, err)
	}
	return nil
}

// checkInject refuses what cannot work while nothing has been touched yet, and
// tells whether the process must enter by itself.
func checkInject(p *Process, o Offsets) (enter bool, err error) {
	if err := HaveTimeNamespaces(); err != nil {
		return false, err
	}
	host, err := ReadHost()
	if err != nil {
		return false, err
	}
	if err := o.Check(host.Clocks); err != nil {
		return false, err
	}
	threads, err := p.Threads()
	if err != nil || threads == 1 {
		return true, err
	}
	if switches := HaveExecSwitch(); switches != nil {
		return false, fmt.Errorf("process %d has %d threads, and only a single-threaded one can enter a time namespace by itself: %w",
			p.pid, threads, switches)
	}
	return false, nil
}

// shift does the work on a stopped process: create, write, verify and, where exec
// would not, enter.
func (t *tracee) shift(p *Process, o Offsets, enter bool) error {
	before, err := p.Namespaces()
	if err != nil {
		return err
	}
	if _, err := t.call("unshare(CLONE_NEWTIME)", unix.SYS_UNSHARE, unix.CLONE_NEWTIME); err != nil {
		return explainUnshare(err)
	}
	step("unshared")
	if err := writeOffsets(p.dir, "timens_offsets", o); err != nil {
		return fmt.Errorf("process %d: %w", p.pid, err)
	}
	step("written")
	if enter {
		if err := t.enter(); err != nil {
			return err
		}
		step("entered")
	}
	if err := verify(p, o, before, enter); err != nil {
		return err
	}
	step("verified")
	return nil
}

func explainUnshare(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (it needs CAP_SYS_ADMIN in its user namespace, and no seccomp filter against unshare)", err)
	}
	return err
}

// writeOffsets writes both lines with one write(2), as the kernel wants them.
func writeOffsets(dir int, name string, o Offsets) error {
	fd, err := openIn(dir, name, unix.O_WRONLY)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	text := []byte(o.KernelText())
	n, err := unix.Write(fd, text)
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("write %s: %w (it takes CAP_SYS_TIME in the user namespace of the time namespace)", name, err)
	case err != nil:
		return fmt.Errorf("write %q to %s: %w", text, name, err)
	case n != len(text):
		return fmt.Errorf("write to %s: %d of %d bytes", name, n, len(text))
	}
	return nil
}

// verify asks the kernel whether the process has what was asked for.
func verify(p *Process, o Offsets, before Namespaces, enter bool) error {
	held, err := p.Offsets()
	if err != nil {
		return err
	}
	if held != o {
		return fmt.Errorf("process %d: the kernel holds offsets %v instead of %v", p.pid, held, o)
	}
	ns, err := p.Namespaces()
	if err != nil {
		return err
	}
	if ns.ForChildren == before.ForChildren || ns.ForChildren == before.Time {
		return fmt.Errorf("process %d: it has no new time namespace", p.pid)
	}
	if enter && ns.Time != ns.ForChildren {
		return fmt.Errorf("process %d: it did not enter its new time namespace", p.pid)
	}
	return nil
}

// enter makes a single-threaded process join its own namespace for children.
func (t *tracee) enter() error { return t.enterAt("/proc/self/ns/time_for_children") }

// enterAt makes it join the time namespace at a path.
func (t *tracee) enterAt(path string) error {
	at, undo, err := t.lend(path)
	if err != nil {
		return err
	}
	err = func() error {
		cwd := unix.AT_FDCWD
		fd, err := t.call("openat("+path+")", unix.SYS_OPENAT, uintptr(cwd), at, unix.O_RDONLY|unix.O_CLOEXEC)
		if err != nil {
			return err
		}
		_, err = t.call("setns(CLONE_NEWTIME)", unix.SYS_SETNS, fd, unix.CLONE_NEWTIME)
		_, closed := t.call("close", unix.SYS_CLOSE, fd)
		return errors.Join(err, closed)
	}()
	return errors.Join(err, undo())
}
