package timens

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// NamespaceID identifies a namespace: the device and inode number of its file in
// nsfs, namespaces(7). It compares with ==.
type NamespaceID struct{ Dev, Ino uint64 }

// Namespaces holds the two time namespaces of a task.
type Namespaces struct {
	// Time is the one that the task's clocks come from.
	Time NamespaceID
	// ForChildren is the one that children, and since Linux 6.2 the program
	// after the next exec, are in. /proc/PID/timens_offsets speaks of this one.
	ForChildren NamespaceID
}

// ReadClocks reads both clocks as this process sees them, one right after the other.
func ReadClocks() (Clocks, error) {
	var mono, boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		return Clocks{}, os.NewSyscallError("clock_gettime(CLOCK_MONOTONIC)", err)
	}
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return Clocks{}, os.NewSyscallError("clock_gettime(CLOCK_BOOTTIME)", err)
	}
	return Clocks{time.Duration(mono.Nano()), time.Duration(boot.Nano())}, nil
}

// ReadHost reads the clocks of the initial time namespace: what this process
// reads, less the offsets of the namespace that it is in. It fails where those
// cannot be known: in a process in a shifted namespace that made another one and
// has not entered it.
func ReadHost() (Host, error) {
	own, err := ownOffsets()
	if err != nil {
		return Host{}, err
	}
	seen, err := ReadClocks()
	if err != nil {
		return Host{}, err
	}
	h := Host{Own: own}
	if h.Clocks.Monotonic, err = unshifted(seen.Monotonic, own.Monotonic); err != nil {
		return Host{}, err
	}
	h.Clocks.Boottime, err = unshifted(seen.Boottime, own.Boottime)
	return h, err
}

// OwnNamespaces returns those of this process. They are read once: with several
// threads, as every Go program has, it cannot enter another time namespace.
var OwnNamespaces = sync.OnceValues(func() (Namespaces, error) { return ReadNamespaces(os.Getpid()) })

// ownOffsets are those of the namespace that this process is in, read once.
var ownOffsets = sync.OnceValues(func() (Offsets, error) {
	if err := HaveTimeNamespaces(); err != nil {
		return Offsets{}, err
	}
	ns, err := OwnNamespaces()
	switch {
	case err != nil:
		return Offsets{}, err
	case ns.Time.Initial(): // offsets are to this one
		return Offsets{}, nil
	case ns.Time != ns.ForChildren:
		return Offsets{}, errors.New("this process has a time namespace for its children that it is not in itself: its own offsets cannot be read")
	}
	return ReadOffsets(os.Getpid())
})

func unshifted(seen time.Duration, own Offset) (time.Duration, error) {
	v, err := OffsetOf(seen).Sub(own)
	if err != nil {
		return 0, err
	}
	return v.Duration()
}

// ReadOffsets reads /proc/PID/timens_offsets: the offsets of the namespace for
// pid's children. They are pid's own only if both of its Namespaces are the same.
// Errors match [ErrNotSupported] on a kernel without time namespaces.
func ReadOffsets(pid int) (Offsets, error) {
	dir, err := proc()
	if err != nil {
		return Offsets{}, err
	}
	return readOffsets(dir, strconv.Itoa(pid)+"/timens_offsets")
}

func readOffsets(dir int, name string) (Offsets, error) {
	path := filepath.Join("/proc", name)
	text, err := readAt(dir, name)
	if err != nil {
		if missing := HaveTimeNamespaces(); missing != nil {
			return Offsets{}, missing
		}
		return Offsets{}, &os.PathError{Op: "read", Path: path, Err: err}
	}
	if len(text) == 0 { // of a task that is ending (proc_timens_show_offsets, kernel/time/namespace.c)
		return Offsets{}, &os.PathError{Op: "read", Path: path, Err: os.ErrProcessDone}
	}
	o, listed, err := ParseKernelText(string(text))
	if err != nil {
		return Offsets{}, fmt.Errorf("%s: %w", path, err)
	}
	if !listed[Monotonic] || !listed[Boottime] {
		return Offsets{}, fmt.Errorf("%s does not list both clocks: %q", path, text)
	}
	return o, nil
}

// ReadNamespaces reads which time namespaces a task is in; pid may be a thread's
// id. It needs the right to ptrace-read the task, ptrace(2).
func ReadNamespaces(pid int) (Namespaces, error) {
	dir, err := proc()
	if err != nil {
		return Namespaces{}, err
	}
	ns, err := readNamespaces(dir, strconv.Itoa(pid)+"/")
	if err != nil {
		return Namespaces{}, fmt.Errorf("task %d: %w", pid, err)
	}
	return ns, nil
}

// readNamespaces reads the links in a task's directory. Whoever calls it adds which
// task that is to an error.
func readNamespaces(dir int, prefix string) (ns Namespaces, err error) {
	if ns.Time, err = namespaceID(dir, prefix+"ns/time"); err != nil {
		return Namespaces{}, err
	}
	ns.ForChildren, err = namespaceID(dir, prefix+"ns/time_for_children")
	return ns, err
}

// namespaceID returns the identity behind a link in a task's ns directory.
func namespaceID(dir int, name string) (NamespaceID, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, 0); err != nil {
		return NamespaceID{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return NamespaceID{uint64(st.Dev), st.Ino}, nil
}
