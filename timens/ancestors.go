package timens

import (
	"bytes"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Ancestor is a process that we descend from.
type Ancestor struct{ PID int }

// Ancestors returns the processes that we descend from, nearest first.
func Ancestors() ([]Ancestor, error) {
	var all []Ancestor
	for a, err := range ancestors() {
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// ancestors finds each when it is asked for: mostly, the nearest is the one.
func ancestors() iter.Seq2[Ancestor, error] {
	return func(yield func(Ancestor, error) bool) {
		for a := (Ancestor{os.Getppid()}); a.PID > 0; {
			if !yield(a, nil) {
				return
			}
			text, err := a.read("status")
			var s status
			if err == nil {
				s, err = parseStatus(text)
			}
			if err != nil {
				yield(a, err)
				return
			}
			a.PID = s.ppid
		}
	}
}

func (a Ancestor) open() (*Process, error) { return OpenProcess(a.PID) }

func (a Ancestor) read(name string) ([]byte, error) {
	root, err := proc()
	if err != nil {
		return nil, err
	}
	text, err := readAt(root, a.path(name))
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: "/proc/" + a.path(name), Err: err}
	}
	return text, nil
}

// Argv returns the arguments that the process was started with.
func (a Ancestor) Argv() ([]string, error) {
	argv, err := a.read("cmdline")
	return strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00"), err
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
	env, err := a.read("environ")
	if err != nil {
		return "", err
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(name+"=")); ok {
			return string(value), nil
		}
	}
	return "", nil
}
