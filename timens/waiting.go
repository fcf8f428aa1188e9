package timens

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// CheckWaitingInit makes sure that the process is a container's init that waits
// for hooks to end before it runs the user's program, and that it belongs to the
// low-level runtime that started us. What Kata and gVisor name in the state is a
// process of their own on the host, a stale or forged state may name anything;
// none of them may be touched. An init that waits has a mount namespace of its
// own, and still runs the program of a process that is our ancestor, the runtime:
//
//   - forked from it without exec, as crun and youki do: the same file and the
//     same arguments, which name the container. It may have lost its parent: for
//     a user namespace crun forks twice.
//   - or started by it as "… init", as runc and libcontainer do: its child, and
//     since runc 1.1 from a sealed copy, hence compared by size.
func (p *Process) CheckWaitingInit() error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("process %d is no container init that waits for this hook: %s; its clocks are left alone",
			p.pid, fmt.Sprintf(format, args...))
	}
	root, err := proc()
	if err != nil {
		return err
	}
	mine, err := namespaceID(root, "self/ns/mnt")
	if err != nil {
		return err
	}
	theirs, err := namespaceID(p.dir, "ns/mnt")
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("process %d: %w: this user may not look at it, as with the init of a crun that a user without privileges starts outside a user namespace; start crun in one, as podman does, or as root", p.pid, err)
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", p.pid, err)
	}
	if mine == theirs {
		return refuse("it shares this hook's mount namespace")
	}
	s, err := p.status()
	if err != nil {
		return err
	}
	argv, err := p.read("cmdline")
	if err != nil {
		return err
	}
	exe, err := p.exe()
	if err != nil {
		return err
	}
	args := bytes.Split(bytes.TrimSuffix(argv, []byte{0}), []byte{0})
	isInit := len(args) == 2 && string(args[1]) == "init"
	for a, err := range ancestors() {
		if err != nil {
			return err
		}
		if isInit && a.PID != s.ppid {
			continue
		}
		runtime, err := a.open()
		if err != nil {
			return err
		}
		ours, err := runtime.runs(exe, argv, isInit)
		runtime.Close()
		if err != nil {
			return err
		}
		if ours {
			return p.alive()
		}
	}
	return refuse("it runs %q (%s), which is not the init of a runtime that started this hook", bytes.Join(args, []byte(" ")), s.name)
}

// runs reports whether the runtime p started a process that executes exe with
// argv: as its init, or by fork alone.
func (p *Process) runs(exe unix.Stat_t, argv []byte, isInit bool) (bool, error) {
	own, err := p.exe()
	if errors.Is(err, fs.ErrPermission) {
		return false, nil // not ours to look at, and hence not our runtime
	}
	if err != nil {
		return false, err
	}
	same := own.Dev == exe.Dev && own.Ino == exe.Ino
	if isInit {
		return same || own.Size == exe.Size, nil
	}
	ownArgv, err := p.read("cmdline")
	return same && bytes.Equal(ownArgv, argv), err
}

// exe returns what the process executes.
func (p *Process) exe() (st unix.Stat_t, err error) {
	if err := unix.Fstatat(p.dir, "exe", &st, 0); err != nil {
		return st, &os.PathError{Op: "stat", Path: p.path("exe"), Err: err}
	}
	return st, nil
}
