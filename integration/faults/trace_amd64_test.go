package faults

import "golang.org/x/sys/unix"

func change(tid int, f func(*unix.PtraceRegs)) error {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	f(&r)
	return unix.PtraceSetRegs(tid, &r)
}

// skipCall has a call that is about to be made not be made.
func skipCall(tid int) error {
	return change(tid, func(r *unix.PtraceRegs) { r.Orig_rax = ^uint64(0) })
}

func setResult(tid int, v int64) error {
	return change(tid, func(r *unix.PtraceRegs) { r.Rax = uint64(v) })
}

func setLength(tid int, n uint64) error {
	return change(tid, func(r *unix.PtraceRegs) { r.Rdx = n })
}

const sysFstatat = unix.SYS_NEWFSTATAT

func init() {
	names[unix.SYS_RENAME] = "rename"
	names[unix.SYS_OPEN] = "open"
	names[unix.SYS_READLINK] = "readlink"
	names[unix.SYS_MKDIR] = "mkdir"
	names[unix.SYS_UNLINK] = "unlink"
	names[unix.SYS_STAT] = "stat"
	names[unix.SYS_LSTAT] = "lstat"
}
