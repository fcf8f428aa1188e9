package shim

import (
	"syscall"
	"unsafe"

	"oci-timens/internal/early"
)

// Most of the calls that an engine makes for a container are none of the shim's business:
// start, state, kill, delete, and create where no clock is asked for: earlycreate.go. To start Go's runtime
// only to become another program takes three times as long as to become it at once (make
// bench-starts PART=jobs). So this comes before Go's runtime: the program is linked with
// -E=_rt0_timens_runc, which makes early_GOARCH.s its entry point. (That something comes before is
// known from runc itself: libcontainer/nsenter, in C.)
//
// It is a matter of speed alone. What is handed on here is handed on by shim.run likewise, to
// the same program, with the same arguments and environment: FuzzEarly compares the two. (Of
// variables that are there twice Go's start leaves one; here they stay.) Wherever more than a
// look is needed, such as into a configuration file, the program starts as the hook does.
//
// See package early for what functions must not do. The linker holds them to the stack
// (go:nosplit), and TestEarlyCalls to what they call.

// earlyEntry is how the entry point calls handOn: assembly cannot name functions of Go's own
// calling convention.
var earlyEntry = handOn

// Strings as C has them, each with its end: config.DefaultPath and what is beside it, the
// Runtimes of config.Default, and where package lowlevel looks for them without PATH.
var (
	earlyDir      = "/etc/oci-timens\x00"
	earlyFile     = "/etc/oci-timens/config.toml\x00"
	earlyParts    = "/etc/oci-timens/config.d\x00"
	earlyRuntimes = [...]string{"/runc\x00", "/crun\x00"}
	earlyPath     = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\x00"
)

// What is looked at, and written to.
var (
	earlyFound, earlySelf syscall.Stat_t
	earlyName             [4096]byte // PATH_MAX
)

// handOn takes what the kernel has put on the stack: argc, the arguments, the environment.
// Where it is not certain of what to do it returns where they are by then.
//
//go:nosplit
//go:norace
//go:nocheckptr
func handOn(stack *uintptr) *uintptr {
	argv := (**byte)(unsafe.Add(unsafe.Pointer(stack), early.WordSize))
	envp := early.Environment(stack)
	if path := uintptr(unsafe.Pointer(earlyRoute(argv, envp))); path != 0 {
		argv0 := (*uintptr)(unsafe.Pointer(argv)) // a number: there are no write barriers yet
		name := *argv0
		*argv0 = path
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXECVE, path, uintptr(unsafe.Pointer(argv)), uintptr(unsafe.Pointer(envp)))
		*argv0 = name // that it cannot be started is said in the usual way
	}
	return early.Calm(stack)
}

// earlyRoute returns the low-level runtime that a call is handed on to, or nil.
//
//go:nosplit
//go:norace
//go:nocheckptr
func earlyRoute(argv, envp **byte) *byte {
	at := earlyCommand(argv)
	if at == 0 {
		return nil
	}
	creates := early.Is(early.Arg(argv, at), "create") || early.Is(early.Arg(argv, at), "run")
	if !creates && !isOthers(early.Arg(argv, at)) {
		return nil
	}
	path, named := unsafe.StringData(earlyPath), false
	for i := uintptr(0); early.Arg(envp, i) != nil; i++ {
		v := early.Arg(envp, i)
		if early.Behind(v, "TIMENS_CONFIG=") != nil {
			return nil
		}
		if p := early.Behind(v, "PATH="); p != nil {
			if named {
				return nil
			}
			path, named = p, true
		}
	}
	if mayBeConfigured() || creates && !asksNothing(cBundle(argv, at+1)) {
		return nil
	}
	return earlyFind(path)
}

// earlyCommand returns the index of the command, behind options as engines write them, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func earlyCommand(argv **byte) uintptr {
	if early.Arg(argv, 0) == nil {
		return 0
	}
	for i := uintptr(1); early.Arg(argv, i) != nil; i++ {
		arg := early.Arg(argv, i)
		switch {
		case early.Is(arg, "--systemd-cgroup"), early.Is(arg, "--debug"):
		case early.Is(arg, "--root"), early.Is(arg, "--log"), early.Is(arg, "--log-format"):
			if i++; early.Arg(argv, i) == nil {
				return 0
			}
		case early.Behind(arg, "--root=") != nil, early.Behind(arg, "--log=") != nil, early.Behind(arg, "--log-format=") != nil:
		default:
			return i
		}
	}
	return 0
}

// isOthers tells whether a command makes no container, and is one that shim.try treats as any
// other.
//
//go:nosplit
//go:norace
//go:nocheckptr
func isOthers(command *byte) bool {
	return early.Is(command, "start") || early.Is(command, "state") || early.Is(command, "kill") || early.Is(command, "delete") || early.Is(command, "exec") ||
		early.Is(command, "ps") || early.Is(command, "pause") || early.Is(command, "resume") || early.Is(command, "update") || early.Is(command, "events") || early.Is(command, "list")
}

// mayBeConfigured tells whether there may be a file that names runtimes.
//
//go:nosplit
//go:norace
//go:nocheckptr
func mayBeConfigured() bool {
	return cStat(unsafe.StringData(earlyDir), &earlyFound, 0) != syscall.ENOENT &&
		(cStat(unsafe.StringData(earlyFile), &earlyFound, noFollow) != syscall.ENOENT ||
			cStat(unsafe.StringData(earlyParts), &earlyFound, noFollow) != syscall.ENOENT)
}

// earlyFind looks for the runtimes in the folders of PATH.
//
//go:nosplit
//go:norace
//go:nocheckptr
func earlyFind(path *byte) *byte {
	if cStat(unsafe.StringData("/proc/self/exe\x00"), &earlySelf, 0) != 0 {
		return nil
	}
	for i := range earlyRuntimes {
		for dir := path; dir != nil; {
			next, ok := earlyCandidate(dir, earlyRuntimes[i])
			if !ok {
				return nil
			}
			dir = next
			if earlyName[0] == 0 {
				continue
			}
			switch cStat(&earlyName[0], &earlyFound, 0) {
			case 0:
				if earlyFound.Size == earlySelf.Size {
					return nil // this program, or a copy of it
				}
				if earlyFound.Mode&syscall.S_IFMT == syscall.S_IFREG && earlyFound.Mode&0o111 != 0 {
					return &earlyName[0]
				}
			case syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM, syscall.ELOOP, syscall.ENAMETOOLONG:
			default:
				return nil
			}
		}
	}
	return nil
}

// earlyCandidate puts the folder of PATH that begins at dir, and a name, into earlyName,
// or "" for a folder that is relative, and is passed over. It returns where the next folder
// begins, nil for none. A folder that filepath.Join would write differently is not ok.
//
//go:nosplit
//go:norace
//go:nocheckptr
func earlyCandidate(dir *byte, name string) (next *byte, ok bool) {
	absolute := *dir == '/'
	n, last := uintptr(0), byte(0)
	for ; *dir != 0 && *dir != ':'; dir = early.Next(dir) {
		if n == mostName || last == '/' && (*dir == '/' || *dir == '.') {
			return nil, false
		}
		setName(n, *dir)
		last = *dir
		n++
	}
	if *dir == ':' {
		next = early.Next(dir)
	}
	if !absolute {
		earlyName[0] = 0
		return next, true
	}
	for i := range uintptr(len(name)) {
		setName(n+i, name[i])
	}
	return next, last != '/'
}

// mostName is how long a folder in earlyName may be: there is room for a name behind it.
const mostName = uintptr(len(earlyName)) - 16

// setName takes an index below len(earlyName), which the compiler does not know.
//
//go:nosplit
//go:norace
//go:nocheckptr
func setName(i uintptr, c byte) { earlyName[i&(mostName|15)] = c }

const (
	here     = ^uintptr(99) // AT_FDCWD
	noFollow = 0x100        // AT_SYMLINK_NOFOLLOW
)

//go:nosplit
//go:norace
//go:nocheckptr
func cStat(path *byte, st *syscall.Stat_t, flags uintptr) syscall.Errno {
	_, _, err := syscall.RawSyscall6(sysFstatat, here, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(st)), flags, 0, 0)
	return err
}
