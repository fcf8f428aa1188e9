package timens

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrNotSupported is what errors match, with errors.Is, when this machine cannot
// do what was asked, whatever the input: the text says what is missing.
var ErrNotSupported = errors.New("not supported here")

// notSupported makes an error that matches ErrNotSupported and reads as format says.
func notSupported(format string, args ...any) error {
	return &unsupported{fmt.Sprintf(format, args...)}
}

type unsupported struct{ msg string }

func (e *unsupported) Error() string        { return e.msg }
func (e *unsupported) Is(target error) bool { return target == ErrNotSupported }

// Support is what this machine can do. In each field nil is yes, an error that
// matches ErrNotSupported is no and says why, any other error says why it could
// not be told.
type Support struct {
	TimeNamespaces error
	ExecSwitch     error
	Ptrace         error
}

// Probe tries everything, by doing it where this process may. It starts and ends
// short-lived processes that run no instruction of their own.
func Probe() Support {
	s := Support{TimeNamespaces: HaveTimeNamespaces(), Ptrace: HavePtrace()}
	if s.ExecSwitch = s.TimeNamespaces; s.ExecSwitch == nil {
		s.ExecSwitch = tryExecSwitch()
	}
	if s.ExecSwitch != nil && (s.Ptrace != nil || !errors.Is(s.ExecSwitch, ErrNotSupported)) {
		s.ExecSwitch = HaveExecSwitch() // without ptrace or privilege, the version may tell
	}
	return s
}

// HaveTimeNamespaces tells whether the kernel has time namespaces: Linux 5.6 with
// CONFIG_TIME_NS. Making one also takes CAP_SYS_ADMIN in the user namespace.
func HaveTimeNamespaces() error { return haveTimeNamespaces() }

var haveTimeNamespaces = sync.OnceValue(func() error {
	dir, err := proc()
	if err != nil {
		return err
	}
	var st unix.Stat_t
	switch err := unix.Fstatat(dir, "self/ns/time_for_children", &st, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return nil
	case unix.ENOENT:
		return notSupported("kernel %s has no time namespaces: they need Linux 5.6 with CONFIG_TIME_NS", release())
	default:
		return &os.PathError{Op: "stat", Path: "/proc/self/ns/time_for_children", Err: err}
	}
})

// HaveExecSwitch tells whether exec moves a process into the time namespace for
// its children. Every kernel from Linux 6.2 does (commit 2b5f9dad32ed,
// "fs/exec: switch timens when a task gets a new mm"); on an older one, to which a
// distribution may have brought it, it is tried.
func HaveExecSwitch() error {
	if major, minor := kernelVersion(); major > 6 || major == 6 && minor >= 2 {
		return HaveTimeNamespaces()
	}
	return tryExecSwitch()
}

// tryExecSwitch gives a process that stands at its first instruction a time
// namespace for its children, has it exec itself and looks where it is.
func tryExecSwitch() error {
	return withStopped(func(t *tracee) error {
		if err := t.begin(); err != nil {
			return err
		}
		if _, err := t.call("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWTIME); err != nil {
			return err
		}
		// What is lent is gone with the memory that the exec replaces.
		path, _, err := t.lend("/proc/self/exe")
		if err != nil {
			return err
		}
		if _, err := t.call("execve(/proc/self/exe)", unix.SYS_EXECVE, path); err != nil {
			return err
		}
		ns, err := ReadNamespaces(t.pid)
		if err == nil && ns.Time != ns.ForChildren {
			err = notSupported("kernel %s does not move a process into its new time namespace at exec: Linux 6.2 and later do", release())
		}
		return err
	})
}

// HavePtrace tells whether this process may trace a container's init: Yama allows
// it (ptrace_scope, Documentation/admin-guide/LSM/Yama.rst), no seccomp filter
// forbids it.
func HavePtrace() error {
	if err := ptraceOff(); err != nil {
		return err
	}
	if scope := yamaScope(); scope >= 1 && !havePtraceCapability() {
		return notSupported("kernel.yama.ptrace_scope is %d and this process lacks CAP_SYS_PTRACE: run as root", scope)
	}
	err := withStopped(func(t *tracee) error { return t.begin() })
	if errors.Is(err, unix.EPERM) {
		return notSupported("ptrace is forbidden to this process: %v", err)
	}
	return err
}

// ptraceOff is an error where Yama forbids ptrace to everybody, also to root.
func ptraceOff() error {
	if scope := yamaScope(); scope >= 3 {
		return notSupported("ptrace is off for everybody on this machine: kernel.yama.ptrace_scope is %d, and cannot be lowered before the next boot", scope)
	}
	return nil
}

// withStopped runs f on a process that is stopped at its exec, before its first
// instruction, and ends the process. f runs on the tracer's thread.
func withStopped(f func(*tracee) error) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{}
	return atExec(cmd, func(t *tracee) error {
		err := f(t)
		cmd.Process.Kill()
		cmd.Wait()
		return err
	})
}

func yamaScope() int {
	text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil {
		return 0 // no Yama
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

func havePtraceCapability() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return err == nil && data[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "(unknown)"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// kernelVersion returns 0, 0 for a release that does not begin with two numbers:
// such a kernel is tried, not trusted.
func kernelVersion() (major, minor int) {
	first, rest, _ := strings.Cut(release(), ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	major, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0
	}
	if minor, err = strconv.Atoi(second); err != nil {
		return 0, 0
	}
	return major, minor
}
