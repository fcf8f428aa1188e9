package timens

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// CheckWaitingInit makes sure that the process is the init of container id, that
// it waits for hooks to end before it runs the user's program, and that it belongs
// to the low-level runtime that started us. What Kata and gVisor name in the state
// is a process of their own on the host, a stale or forged state may name
// anything; none of them may be touched. An init that waits has a mount namespace
// of its own, and still runs the program of our nearest ancestor that runs it, the
// runtime:
//
//   - started by it as "… init", as runc and libcontainer do: its child, and since
//     runc 1.1 from a sealed copy, hence compared by size;
//   - or forked from it without exec, as crun and youki do: the same file and the
//     same arguments, which name the container. It may have lost its parent, as
//     crun forks twice for a user namespace, to one further up.
func (p *Process) CheckWaitingInit(id string, s Status) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("process %d is no container init that waits for this hook: %s; its clocks are left alone",
			p.pid, fmt.Sprintf(format, args...))
	}
	alone, err := p.hasOwnMounts()
	if err != nil {
		return err
	}
	if !alone {
		return refuse("it shares this hook's mount namespace")
	}
	c := candidate{parent: s.Parent}
	if c.argv, err = p.read("cmdline"); err != nil {
		return err
	}
	if c.exe, err = p.exe(); err != nil {
		return err
	}
	args := strings.Split(strings.TrimSuffix(string(c.argv), "\x00"), "\x00")
	c.isInit = len(args) == 2 && args[1] == "init"
	if c.isInit || slices.Contains(args, id) {
		ours, err := p.isInitOf(c)
		if err != nil {
			return err
		}
		if ours {
			return p.alive()
		}
	}
	return refuse("it runs %q (%s), which is not the init of a runtime that started this hook", strings.Join(args, " "), s.Name)
}

// candidate is a process that may be a waiting init.
type candidate struct {
	parent int
	argv   []byte
	exe    unix.Stat_t
	isInit bool // started by exec, as "… init"
}

// isInitOf looks for the runtime of a candidate, the process p, among our ancestors.
func (p *Process) isInitOf(c candidate) (bool, error) {
	found := false // the runtime; from there on, parents that an orphan may get
	for a, err := range ancestors() {
		if err != nil {
			return false, err
		}
		if found {
			if a.PID == c.parent {
				return true, nil
			}
			continue
		}
		if c.isInit && a.PID != c.parent {
			continue
		}
		runtime, err := OpenProcess(a.PID)
		if hidden(err) {
			continue
		}
		if err != nil {
			return false, err
		}
		found, err = runtime.runs(c)
		later := c.isInit
		if found && !c.isInit {
			later, err = p.startedAfter(runtime)
		}
		runtime.Close()
		if err != nil || found && !later {
			return false, err
		}
		if found && a.PID == c.parent {
			return true, nil
		}
	}
	return false, nil
}

// runs reports whether p runs what the candidate runs.
func (p *Process) runs(c candidate) (bool, error) {
	own, err := p.exe()
	if hidden(err) {
		return false, nil // not ours to look at, and hence not our runtime
	}
	if err != nil {
		return false, err
	}
	same := own.Dev == c.exe.Dev && own.Ino == c.exe.Ino
	if c.isInit {
		return same || own.Size == c.exe.Size, nil
	}
	if !same {
		return false, nil
	}
	argv, err := p.read("cmdline")
	return bytes.Equal(argv, c.argv), err
}

// startedAfter compares the start times of two processes, in clock ticks.
func (p *Process) startedAfter(q *Process) (bool, error) {
	mine, err := p.startTicks()
	if err != nil {
		return false, err
	}
	theirs, err := q.startTicks()
	return mine >= theirs, err
}

// hasOwnMounts reports whether the process is in another mount namespace than we.
func (p *Process) hasOwnMounts() (bool, error) {
	root, err := proc()
	if err != nil {
		return false, err
	}
	mine, err := namespaceID(root, "self/ns/mnt")
	if err != nil {
		return false, err
	}
	theirs, err := namespaceID(p.dir, "ns/mnt")
	if errors.Is(err, fs.ErrPermission) {
		return false, fmt.Errorf("process %d: %w: this user may not look at it, as with the init of a crun that a user without privileges starts outside a user namespace; start crun in one, as podman does, or as root", p.pid, err)
	}
	if err != nil {
		return false, fmt.Errorf("process %d: %w", p.pid, err)
	}
	return mine != theirs, nil
}

// exe returns what the process executes.
func (p *Process) exe() (st unix.Stat_t, err error) {
	if err := unix.Fstatat(p.dir, "exe", &st, 0); err != nil {
		return st, &os.PathError{Op: "stat", Path: p.path("exe"), Err: err}
	}
	return st, nil
}
