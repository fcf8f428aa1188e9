package timens

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Process is a handle to a process that stays with it: when the PID is reused
// after its death, every method fails instead of reaching the new owner.
type Process struct {
	pid   int
	pidfd int // pidfd_open(2), Linux 5.3
	dir   int // /proc/PID, which like the pidfd belongs to the process, not to the number
}

// OpenProcess opens a process by its PID in our PID namespace. Close it after use.
func OpenProcess(pid int) (*Process, error) {
	root, err := proc()
	if err != nil {
		return nil, err
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	dir, err := openIn(root, strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		unix.Close(pidfd)
		return nil, &os.PathError{Op: "open", Path: "/proc/" + strconv.Itoa(pid), Err: err}
	}
	p := &Process{pid: pid, pidfd: pidfd, dir: dir}
	// Only if the process still lives now do both handles belong to the same one.
	if err := p.alive(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close releases the handle. The process is not affected.
func (p *Process) Close() error {
	unix.Close(p.dir)
	return os.NewSyscallError("close", unix.Close(p.pidfd))
}

// PID returns the number that the process was opened by.
func (p *Process) PID() int { return p.pid }

// alive fails once the process is gone and its number free for others.
func (p *Process) alive() error {
	err := unix.PidfdSendSignal(p.pidfd, 0, nil, 0)
	switch err {
	case nil, unix.EPERM:
		return nil
	case unix.ESRCH:
		return fmt.Errorf("process %d: %w", p.pid, os.ErrProcessDone)
	}
	return fmt.Errorf("process %d: %w", p.pid, os.NewSyscallError("pidfd_send_signal", err))
}

func (p *Process) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.pid), name)
}

func (p *Process) read(name string) ([]byte, error) {
	data, err := readAt(p.dir, name)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: p.path(name), Err: err}
	}
	return data, nil
}

// Status reads what kind of process it is at the moment.
func (p *Process) Status() (Status, error) {
	text, err := p.read("status")
	if err != nil {
		return Status{}, err
	}
	s, err := parseStatus(text)
	if err != nil {
		return s, fmt.Errorf("process %d: %w", p.pid, err)
	}
	return s, nil
}

// Offsets reads the offsets of the namespace for the children of the process.
func (p *Process) Offsets() (Offsets, error) {
	o, err := readOffsets(p.dir, "timens_offsets")
	if err != nil {
		return Offsets{}, fmt.Errorf("process %d: %w", p.pid, err)
	}
	return o, nil
}

// Namespaces reads which time namespaces the process is in.
func (p *Process) Namespaces() (Namespaces, error) {
	ns, err := readNamespaces(p.dir, "")
	if err != nil {
		return Namespaces{}, fmt.Errorf("process %d: %w", p.pid, err)
	}
	return ns, nil
}

// Threads returns how many threads the process has.
func (p *Process) Threads() (int, error) {
	// Its task directory has a link for each, which is cheaper than to read status.
	var st unix.Stat_t
	if err := unix.Fstatat(p.dir, "task", &st, 0); err != nil {
		return 0, &os.PathError{Op: "stat", Path: p.path("task"), Err: err}
	}
	return int(st.Nlink) - 2, nil
}
