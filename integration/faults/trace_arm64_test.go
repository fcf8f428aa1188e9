package faults

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ntARMSystemCall is NT_ARM_SYSTEM_CALL of linux/elf.h, the number of the call.
const ntARMSystemCall = 0x404

// skipCall has a call that is about to be made not be made.
func skipCall(tid int) error {
	nr := int32(-1)
	iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(&nr)), Len: 4}
	return ptrace(unix.PTRACE_SETREGSET, tid, ntARMSystemCall, uintptr(unsafe.Pointer(&iov)))
}

func change(tid, register int, v uint64) error {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Regs[register] = v
	return unix.PtraceSetRegs(tid, &r)
}

func setResult(tid int, v int64) error  { return change(tid, 0, uint64(v)) }
func setLength(tid int, n uint64) error { return change(tid, 2, n) }

const sysFstatat = unix.SYS_FSTATAT
