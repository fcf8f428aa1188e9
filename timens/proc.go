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
	if err != nil {
		return -1, &os.PathError{Op: "readlink", Path: "/proc/self", Err: err}
	}
	if self := string(buf[:n]); self != strconv.Itoa(os.Getpid()) {
		return -1, fmt.Errorf("/proc belongs to another PID namespace: it knows this process as %q, not %d", self, os.Getpid())
	}
	return fd, nil
})

// readAt reads a file of /proc whole; name is relative to dir.
func readAt(dir int, name string) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, 4096)
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

// status holds the lines of /proc/PID/status that are needed here, proc_pid_status(5).
type status struct {
	name                  string
	ppid, tracer, threads int
}

func parseStatus(text []byte) (status, error) {
	var s status
	numbers := map[string]*int{"PPid": &s.ppid, "TracerPid": &s.tracer, "Threads": &s.threads}
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(":\t"))
		if string(key) == "Name" {
			s.name = string(value)
		}
		if to := numbers[string(key)]; to != nil {
			n, err := strconv.Atoi(string(value))
			if err != nil {
				return s, fmt.Errorf("status line %q: %w", line, err)
			}
			*to = n
			delete(numbers, string(key))
		}
	}
	if len(numbers) > 0 {
		return s, errors.New("status lacks PPid, TracerPid or Threads")
	}
	return s, nil
}
