package timens

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// proc opens /proc once and makes sure that it is what later look-ups by PID
// rely on: a procfs, of our own PID namespace. Something mounted over it, or the
// procfs of another PID namespace, would have us act on another process.
var proc = sync.OnceValues(func() (int, error) {
	fd, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: "/proc", Err: err}
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return -1, &os.PathError{Op: "statfs", Path: "/proc", Err: err}
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return -1, errors.New("/proc is not a proc file system: mount one there")
	}
	buf := make([]byte, 32)
	n, err := unix.Readlinkat(fd, "self", buf)
	if err == unix.ENOENT {
		return -1, errors.New("/proc belongs to another PID namespace, which does not know this process: mount one of this namespace there")
	}
	if err != nil {
		return -1, &os.PathError{Op: "readlink", Path: "/proc/self", Err: err}
	}
	if self := string(buf[:n]); self != strconv.Itoa(os.Getpid()) {
		return -1, fmt.Errorf("/proc belongs to another PID namespace: it knows this process as %q, not %d", self, os.Getpid())
	}
	return fd, nil
})

var errMountedOver = errors.New("something else is mounted there, which does not tell of the process: unmount it")

// openIn opens a file of /proc that tells of a process; name is relative to dir. What is
// mounted over it, or on the way to it, is an error: offsets written there, and read back,
// would not be the kernel's. openat2(2) came with Linux 5.6, as time namespaces did.
func openIn(dir int, name string, flags int) (int, error) {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_NO_XDEV})
	switch err {
	case unix.EXDEV:
		return -1, errMountedOver
	case unix.ENOSYS, unix.EPERM: // a seccomp filter that does not know it
		return unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
	}
	return fd, err
}

// readAt reads a file of /proc whole; name is relative to dir.
func readAt(dir int, name string) ([]byte, error) {
	fd, err := openIn(dir, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, 2048)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
	}
}

// Status is what /proc/PID/status says, proc_pid_status(5).
type Status struct {
	Name   string // of the program, at most 15 bytes
	Parent int
	Tracer int // who traces it with ptrace(2), or 0
}

func parseStatus(text []byte) (s Status, err error) {
	for _, f := range []struct {
		key string
		to  *int
	}{{"PPid", &s.Parent}, {"TracerPid", &s.Tracer}} {
		value, ok := statusLine(text, f.key)
		if !ok {
			return s, fmt.Errorf("status has no line %s", f.key)
		}
		if *f.to, err = strconv.Atoi(value); err != nil {
			return s, fmt.Errorf("status line %s: %w", f.key, err)
		}
	}
	s.Name, _ = statusLine(text, "Name")
	return s, nil
}

// statusLine returns what stands behind "key:\t" at the start of a line. A name
// cannot forge one: the kernel escapes line ends in it.
func statusLine(text []byte, key string) (string, bool) {
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(key+":\t")); ok {
			return string(bytes.TrimSuffix(value, []byte("\n"))), true
		}
	}
	return "", false
}
