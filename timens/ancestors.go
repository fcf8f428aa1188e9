package timens

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Ancestor is a process that we descend from.
type Ancestor struct {
	PID  int
	Argv []string
}

// Ancestors returns the processes that we descend from, nearest first, without
// PID 1, which orphans are given to and which therefore is no sign of descent.
func Ancestors() ([]Ancestor, error) {
	root, err := proc()
	if err != nil {
		return nil, err
	}
	var all []Ancestor
	for pid := os.Getppid(); pid > 1; {
		a := Ancestor{PID: pid}
		text, err := readAt(root, a.path("status"))
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: "/proc/" + a.path("status"), Err: err}
		}
		s, err := parseStatus(text)
		if err != nil {
			return nil, err
		}
		argv, err := readAt(root, a.path("cmdline"))
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: "/proc/" + a.path("cmdline"), Err: err}
		}
		a.Argv = strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00")
		all = append(all, a)
		pid = s.ppid
	}
	return all, nil
}

func (a Ancestor) path(name string) string { return filepath.Join(strconv.Itoa(a.PID), name) }

// Exe returns a path that opens the program of the process, even when its file
// has been replaced or removed since.
func (a Ancestor) Exe() string { return filepath.Join("/proc", a.path("exe")) }

// Abs returns path as the process means it, if that is relative.
func (a Ancestor) Abs(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	cwd, err := os.Readlink(filepath.Join("/proc", a.path("cwd")))
	return filepath.Join(cwd, path), err
}

// Getenv returns a variable of the environment that the process was started with.
func (a Ancestor) Getenv(name string) (string, error) {
	root, err := proc()
	if err != nil {
		return "", err
	}
	env, err := readAt(root, a.path("environ"))
	if err != nil {
		return "", &os.PathError{Op: "read", Path: "/proc/" + a.path("environ"), Err: err}
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(name+"=")); ok {
			return string(value), nil
		}
	}
	return "", nil
}
