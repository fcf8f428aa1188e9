package timens

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

var syscallInsn = []byte{0x01, 0x00, 0x00, 0xd4} // svc #0

const (
	insnAlign = 4
	redZone   = 0 // the AAPCS64 has none

	ntPrstatus      = 1     // elf.h NT_PRSTATUS
	ntArmSystemCall = 0x404 // elf.h NT_ARM_SYSTEM_CALL
)

func (t *tracee) getRegs(r *unix.PtraceRegs) error {
	return t.regset(unix.PTRACE_GETREGSET, ntPrstatus, unsafe.Pointer(r), unsafe.Sizeof(*r))
}

func (t *tracee) setRegs(r *unix.PtraceRegs) error {
	return t.regset(unix.PTRACE_SETREGSET, ntPrstatus, unsafe.Pointer(r), unsafe.Sizeof(*r))
}

func (t *tracee) regset(request int, set uintptr, at unsafe.Pointer, size uintptr) error {
	iov := unix.Iovec{Base: (*byte)(at), Len: uint64(size)}
	return ptrace(request, t.pid, set, uintptr(unsafe.Pointer(&iov)), "PTRACE_[GS]ETREGSET")
}

// checkRegs refuses a thread in AArch32 state: its system calls have other numbers.
func checkRegs(r *unix.PtraceRegs) error {
	if r.Pstate&0x10 != 0 { // PSR_MODE32_BIT
		return errors.New("it is a 32-bit process, which is not supported")
	}
	return nil
}

func setCall(r *unix.PtraceRegs, gadget, nr uintptr, a [6]uintptr) {
	r.Pc, r.Regs[8] = uint64(gadget), uint64(nr)
	for i, v := range a {
		r.Regs[i] = uint64(v)
	}
}

// restart has nothing to do: before a signal stop, the kernel has already moved pc
// back to an interrupted svc and x0 to its first argument (do_signal in
// arch/arm64/kernel/signal.c). A call with a timeout begins it anew.
func restart(*unix.PtraceRegs) {}

// clearCall says that no system call is under way: what is in x0 is no result,
// and must not look like one that asks for a restart.
func (t *tracee) clearCall() error {
	none := int32(-1)
	return t.regset(unix.PTRACE_SETREGSET, ntArmSystemCall, unsafe.Pointer(&none), unsafe.Sizeof(none))
}

func result(r *unix.PtraceRegs) uintptr       { return uintptr(r.Regs[0]) }
func stackPointer(r *unix.PtraceRegs) uintptr { return uintptr(r.Sp) }
