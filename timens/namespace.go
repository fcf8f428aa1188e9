package timens

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Namespace is a time namespace that this process made and nobody is in yet. It
// lives as long as a handle, a pinned path or a task holds it.
type Namespace struct {
	file    *os.File
	offsets Offsets
}

// Create makes a time namespace with the given offsets to the initial one. Enter
// it by setns(2) on File, from a process with one thread, or name the path that
// Pin gives it, as "path" of a time namespace in an OCI config.json. It needs
// CAP_SYS_ADMIN and CAP_SYS_TIME. Offsets that the kernel would not take are a
// [*RangeError].
func Create(o Offsets) (*Namespace, error) {
	host, err := ReadHost()
	if err != nil {
		return nil, err
	}
	if err := o.Check(host.Clocks); err != nil {
		return nil, err
	}
	type made struct {
		ns  *Namespace
		err error
	}
	done := make(chan made)
	go onSpareThread(func() {
		ns, err := create(o)
		done <- made{ns, err}
	})
	m := <-done
	return m.ns, m.err
}

// onSpareThread runs f on a thread that nothing else uses and that ends with f:
// what it unshares is never undone. It is not the main thread, which cannot end
// and is the one that /proc/PID shows.
func onSpareThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			onSpareThread(f)
		}()
		<-done
		runtime.UnlockOSThread()
		return
	}
	f()
}

func create(o Offsets) (*Namespace, error) {
	if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
		err = os.NewSyscallError("unshare(CLONE_NEWTIME)", err)
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (it takes CAP_SYS_ADMIN: run as root or in a user namespace)", err)
		}
		return nil, err
	}
	root, err := proc()
	if err != nil {
		return nil, err
	}
	// timens_offsets is not among the files of /proc/PID/task/TID, but /proc/TID
	// has it for every thread.
	tid := strconv.Itoa(unix.Gettid())
	if err := writeOffsets(root, tid+"/timens_offsets", o); err != nil {
		return nil, err
	}
	held, err := readOffsets(root, tid+"/timens_offsets")
	if err != nil {
		return nil, err
	}
	if held != o {
		return nil, fmt.Errorf("the kernel holds offsets %v instead of %v", held, o)
	}
	name := tid + "/ns/time_for_children"
	fd, err := unix.Openat(root, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/proc/" + name, Err: err}
	}
	return &Namespace{os.NewFile(uintptr(fd), "/proc/"+name), o}, nil
}

// File returns the handle, for setns(2) and for passing on. It stays the
// Namespace's: do not close it.
func (n *Namespace) File() *os.File { return n.file }

// Offsets returns what the namespace was made with.
func (n *Namespace) Offsets() Offsets { return n.offsets }

// Close releases the handle. The namespace ends unless it is pinned or entered.
func (n *Namespace) Close() error { return n.file.Close() }

// Pin binds the namespace to path, which must not exist, in this mount
// namespace. It lives on after Close until Unpin.
func (n *Namespace) Pin(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	from := "/proc/self/fd/" + strconv.Itoa(int(n.file.Fd()))
	if err := unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
		os.Remove(path)
		return &os.PathError{Op: "bind time namespace to", Path: path, Err: err}
	}
	return nil
}

// Unpin undoes Pin.
func Unpin(path string) error {
	if err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH); err != nil {
		return &os.PathError{Op: "unmount", Path: path, Err: err}
	}
	return os.Remove(path)
}
