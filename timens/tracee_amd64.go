package timens

import (
	"errors"

	"golang.org/x/sys/unix"
)

var syscallInsn = []byte{0x0f, 0x05} // syscall

const (
	insnAlign = 1
	redZone   = 128 // bytes below the stack pointer that belong to a function, System V AMD64 ABI
)

func (t *tracee) getRegs(r *unix.PtraceRegs) error { return unix.PtraceGetRegs(t.pid, r) }
func (t *tracee) setRegs(r *unix.PtraceRegs) error { return unix.PtraceSetRegs(t.pid, r) }

// checkRegs refuses a thread in 32-bit mode: its system calls have other numbers.
func checkRegs(r *unix.PtraceRegs) error {
	if r.Cs != 0x33 { // __USER_CS
		return errors.New("it is a 32-bit process, which is not supported")
	}
	return nil
}

// setCall points r at a system call. orig_rax -1 says that no system call is
// under way, so that the kernel neither restarts one nor moves rip back.
func setCall(r *unix.PtraceRegs, gadget, nr uintptr, a [6]uintptr) {
	r.Rip, r.Rax, r.Orig_rax = uint64(gadget), uint64(nr), ^uint64(0)
	r.Rdi, r.Rsi, r.Rdx = uint64(a[0]), uint64(a[1]), uint64(a[2])
	r.R10, r.R8, r.R9 = uint64(a[3]), uint64(a[4]), uint64(a[5])
}

// What the kernel puts in place of a result when a system call is to be restarted,
// include/linux/errno.h.
const (
	erestartsys          = 512
	erestartnointr       = 513
	erestartnohand       = 514
	erestartRestartblock = 516
)

// restart turns registers that were read in the middle of a system call into those
// that make it again, as arch_do_signal_or_restart in arch/x86/kernel/signal.c does
// when it finds no signal to handle. The kernel is then told of no call.
func restart(r *unix.PtraceRegs) {
	if int64(r.Orig_rax) >= 0 {
		switch -int64(r.Rax) {
		case erestartsys, erestartnointr, erestartnohand:
			r.Rax = r.Orig_rax
			r.Rip -= uint64(len(syscallInsn))
		case erestartRestartblock:
			r.Rax = unix.SYS_RESTART_SYSCALL
			r.Rip -= uint64(len(syscallInsn))
		}
	}
	r.Orig_rax = ^uint64(0)
}

// clearCall has nothing to do: orig_rax is among the registers.
func (t *tracee) clearCall() error { return nil }

func result(r *unix.PtraceRegs) uintptr       { return uintptr(r.Rax) }
func stackPointer(r *unix.PtraceRegs) uintptr { return uintptr(r.Rsp) }
