package timens

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Sandbox is the process whose namespaces the containers of a pod share.
type Sandbox struct {
	PID int
	// StartTicks is when it started, as in Task: together with the PID it names the
	// process, until the machine stops.
	StartTicks uint64
	// Offsets are those of the time namespace that it is in, or is about to enter.
	Offsets Offsets
}

// ReadSandbox looks at the sandbox process of a pod, which config.json names by the
// path /proc/PID/ns/FILE. A PID that has been reused since leads to another process:
// so that one is refused which is not in a container at all, and, where a member is
// given, one in whose namespace this container is not. member is nil before there is one.
func ReadSandbox(pid int, file string, member *Process) (Sandbox, error) {
	s, err := readSandbox(pid, file, member)
	if gone(err) {
		err = fmt.Errorf("it has ended (%w): restart the pod", err)
	}
	if err != nil {
		err = fmt.Errorf("the pod's sandbox, which is process %d by the paths in config.json: %w", pid, err)
	}
	return s, err
}

func readSandbox(pid int, file string, member *Process) (s Sandbox, err error) {
	p, err := OpenProcess(pid)
	if err != nil {
		return s, err
	}
	defer p.Close()
	alone, err := p.hasOwnMounts()
	if err != nil {
		return s, err
	}
	if !alone {
		return s, errors.New("it is no container, for it shares this mount namespace: restart the pod")
	}
	if member != nil {
		theirs, err := namespaceID(p.dir, "ns/"+file)
		if err != nil {
			return s, err
		}
		own, err := namespaceID(member.dir, "ns/"+file)
		if err != nil {
			return s, err
		}
		if theirs != own {
			return s, fmt.Errorf("this container is not in its %s namespace: restart the pod", file)
		}
	}
	s.PID = pid
	if s.StartTicks, err = p.startTicks(); err != nil {
		return s, err
	}
	if s.Offsets, err = p.ownOffsets(); err != nil {
		return s, err
	}
	return s, p.alive()
}

// ownOffsets are those of the namespace that the process is in, or enters next: an init
// that has been given one is in it only when it runs its program, and engines go on
// before that, as "runc start" returns when init has opened exec.fifo. A program that
// makes a namespace for its children looks the same; that of a sandbox does not.
func (p *Process) ownOffsets() (Offsets, error) {
	theirs, err := p.Namespaces()
	if err != nil {
		return Offsets{}, err
	}
	mine, err := OwnNamespaces()
	switch {
	case err != nil:
		return Offsets{}, err
	case theirs.Time != theirs.ForChildren && HaveExecSwitch() == nil:
		return p.Offsets()
	case theirs.Time == mine.Time:
		return ownOffsets()
	case theirs.Time.Initial():
		return Offsets{}, nil
	case theirs.Time != theirs.ForChildren: // what can be read is of the latter
		return Offsets{}, errors.New("it has a time namespace for its children that it is not in itself: its own offsets cannot be read")
	}
	return p.Offsets()
}

// Runs reports whether the process that started at a time is still there, or may be.
func Runs(pid int, startTicks uint64) bool {
	p, err := OpenProcess(pid)
	if err != nil {
		return !gone(err)
	}
	defer p.Close()
	ticks, err := p.startTicks()
	if err != nil {
		return !gone(err)
	}
	return ticks == startTicks
}

// gone tells whether an error means that a process has ended.
func gone(err error) bool {
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrNotExist)
}
