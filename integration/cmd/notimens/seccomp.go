package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The structures of include/uapi/linux/seccomp.h.
type (
	data struct {
		nr   int32
		arch uint32
		ip   uint64
		args [6]uint64
	}
	notification struct {
		id    uint64
		pid   uint32
		flags uint32
		data  data
	}
	response struct {
		id    uint64
		value int64
		err   int32
		flags uint32
	}
)

const flagContinue = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE

// pathCalls take a path as their second argument.
var pathCalls = []uint32{unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_NEWFSTATAT, unix.SYS_STATX, unix.SYS_READLINKAT, unix.SYS_FACCESSAT2}

// filter decides by the number of a call, and for those that take flags of namespaces by the
// argument that has them.
func filter(old bool) (p []unix.SockFilter) {
	statement := func(code uint16, k uint32) { p = append(p, unix.SockFilter{Code: code, K: k}) }
	// ifNot jumps over the next n unless what was loaded is, or has, k.
	ifNot := func(code uint16, k uint32, n uint8) {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | code | unix.BPF_K, K: k, Jf: n})
	}
	load := func(offset uintptr) { statement(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, uint32(offset)) }
	result := func(k uint32) { statement(unix.BPF_RET|unix.BPF_K, k) }

	load(unsafe.Offsetof(data{}.nr))
	for _, nr := range pathCalls {
		ifNot(unix.BPF_JEQ, nr, 1)
		result(unix.SECCOMP_RET_USER_NOTIF)
	}
	if old {
		for _, nr := range []uint32{unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_GETFD} {
			ifNot(unix.BPF_JEQ, nr, 1)
			result(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
		}
	}
	for nr, arg := range map[uint32]uintptr{unix.SYS_UNSHARE: 0, unix.SYS_SETNS: 1} {
		ifNot(unix.BPF_JEQ, nr, 4)
		load(unsafe.Offsetof(data{}.args) + 8*arg) // its lower half, on little-endian machines
		ifNot(unix.BPF_JSET, unix.CLONE_NEWTIME, 1)
		result(unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL))
		result(unix.SECCOMP_RET_ALLOW)
	}
	result(unix.SECCOMP_RET_ALLOW)
	return p
}

// install puts a filter on the calling thread, and returns its listener. It takes
// CAP_SYS_ADMIN, so that set-user-ID programs still work.
func install(f []unix.SockFilter) (int, error) {
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// answer answers for the kernel: a path that is not hidden is its business.
func answer(listener int) {
	for {
		var n notification
		switch ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) {
		case 0:
		case unix.EINTR, unix.ENOENT: // the process has ended meanwhile
			continue
		default: // all have
			return
		}
		r := response{id: n.id, flags: flagContinue}
		if hidden(pathOf(n.pid, n.data.args[1])) {
			r.flags, r.err = 0, -int32(unix.ENOENT)
		}
		ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	}
}

func ioctl(fd int, request uintptr, at unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(at))
	return errno
}
