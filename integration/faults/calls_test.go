package faults

import "golang.org/x/sys/unix"

// names are those of the calls that deal with files, and of some others.
var names = map[uint64]string{
	unix.SYS_OPENAT: "openat", unix.SYS_OPENAT2: "openat2", unix.SYS_CLOSE: "close",
	unix.SYS_READ: "read", unix.SYS_PREAD64: "pread64", unix.SYS_WRITE: "write",
	unix.SYS_PWRITE64: "pwrite64", unix.SYS_WRITEV: "writev", unix.SYS_LSEEK: "lseek",
	unix.SYS_FSTAT: "fstat", sysFstatat: "newfstatat", unix.SYS_STATX: "statx",
	unix.SYS_STATFS: "statfs", unix.SYS_FSTATFS: "fstatfs", unix.SYS_READLINKAT: "readlinkat",
	unix.SYS_FACCESSAT: "faccessat", unix.SYS_FACCESSAT2: "faccessat2", unix.SYS_GETDENTS64: "getdents64",
	unix.SYS_MKDIRAT: "mkdirat", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_RENAMEAT: "renameat",
	unix.SYS_RENAMEAT2: "renameat2", unix.SYS_LINKAT: "linkat", unix.SYS_FCHMOD: "fchmod",
	unix.SYS_FCHMODAT: "fchmodat", unix.SYS_FCHOWN: "fchown", unix.SYS_FCHOWNAT: "fchownat",
	unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_FALLOCATE: "fallocate", unix.SYS_FSYNC: "fsync",
	unix.SYS_FDATASYNC: "fdatasync", unix.SYS_FLOCK: "flock", unix.SYS_FCNTL: "fcntl",
	unix.SYS_DUP: "dup", unix.SYS_DUP3: "dup3", unix.SYS_PIPE2: "pipe2",
	unix.SYS_EXECVE: "execve", unix.SYS_PIDFD_OPEN: "pidfd_open",
	unix.SYS_PIDFD_SEND_SIGNAL: "pidfd_send_signal", unix.SYS_PROCESS_VM_READV: "process_vm_readv",
	unix.SYS_PTRACE: "ptrace", unix.SYS_WAIT4: "wait4", unix.SYS_MMAP: "mmap",
	unix.SYS_FUTEX: "futex", unix.SYS_EXIT_GROUP: "exit_group", unix.SYS_CLONE: "clone",
	unix.SYS_CLONE3: "clone3", unix.SYS_GETPID: "getpid", unix.SYS_RT_SIGACTION: "rt_sigaction",
	unix.SYS_RT_SIGPROCMASK: "rt_sigprocmask", unix.SYS_SIGALTSTACK: "sigaltstack",
	unix.SYS_GETTID: "gettid", unix.SYS_UNAME: "uname", unix.SYS_CLOCK_GETTIME: "clock_gettime",
	unix.SYS_GETEUID: "geteuid", unix.SYS_GETUID: "getuid", unix.SYS_MUNMAP: "munmap", unix.SYS_MADVISE: "madvise",
	unix.SYS_SCHED_GETAFFINITY: "sched_getaffinity", unix.SYS_PRLIMIT64: "prlimit64",
	unix.SYS_EPOLL_CREATE1: "epoll_create1", unix.SYS_EPOLL_CTL: "epoll_ctl", unix.SYS_EPOLL_PWAIT: "epoll_pwait",
	unix.SYS_EVENTFD2: "eventfd2", unix.SYS_NANOSLEEP: "nanosleep", unix.SYS_GETPPID: "getppid",
}

// untouchable are calls that cannot fail as files do.
var untouchable = map[uint64]bool{
	unix.SYS_WAIT4: true, unix.SYS_FUTEX: true, unix.SYS_EXIT_GROUP: true, unix.SYS_CLONE: true, unix.SYS_CLONE3: true,
	unix.SYS_GETPID: true, unix.SYS_RT_SIGACTION: true, unix.SYS_RT_SIGPROCMASK: true, unix.SYS_SIGALTSTACK: true,
	unix.SYS_GETTID: true, unix.SYS_UNAME: true, unix.SYS_CLOCK_GETTIME: true, unix.SYS_GETEUID: true,
	unix.SYS_GETUID: true, unix.SYS_MUNMAP: true, unix.SYS_MADVISE: true, unix.SYS_SCHED_GETAFFINITY: true,
	unix.SYS_PRLIMIT64: true, unix.SYS_EPOLL_PWAIT: true, unix.SYS_NANOSLEEP: true, unix.SYS_GETPPID: true,
}

// everyCall counts what the main thread does, which is all the work of hook and shim.
func everyCall(c call) bool { return c.main }

// fileCalls are those that deal with files, memory for them, or the traced process.
func fileCalls(c call) bool { return c.main && names[c.nr] != "" && !untouchable[c.nr] }

func writes(c call) bool { return c.main && c.nr == unix.SYS_WRITE }

// kills, and errors as full, broken and read-only disks, and a lack of file descriptors
// or memory give them.
var (
	kills  = []fault{{kill: true}}
	errnos = []fault{{errno: unix.ENOSPC}, {errno: unix.EIO}, {errno: unix.EROFS}, {errno: unix.EMFILE}, {errno: unix.ENOMEM}}
	shorts = []fault{{short: true}}
)
