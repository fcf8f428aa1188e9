package timens

import (
	"bytes"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
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

// ancestors finds each when it is asked for: mostly, the nearest is the one. It
// ends at one that has ended meanwhile, or that this user may not look at.
func ancestors() iter.Seq2[Ancestor, error] {
	return func(yield func(Ancestor, error) bool) {
		for a := (Ancestor{os.Getppid()}); a.PID > 0; {
			if !yield(a, nil) {
				return
			}
			text, err := a.read("status")
			if hidden(err) {
				return
			}
			var s Status
			if err == nil {
				s, err = parseStatus(text)
			}
			if err != nil {
				yield(a, err)
				return
			}
			a.PID = s.Parent
		}
	}
}

// hidden tells whether an error means that a process is not there, or not there
// for us (mount option hidepid, proc(5)).
func hidden(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrProcessDone)
}

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

// Argv returns the arguments that the process was started with: none where it has
// ended, or this user may not look at it.
func (a Ancestor) Argv() ([]string, error) {
	argv, err := a.read("cmdline")
	if hidden(err) {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00"), err
}

func (a Ancestor) path(name string) string { return filepath.Join(strconv.Itoa(a.PID), name) }

// Exe returns a path that opens the program of the process, even when its file
// has been replaced or removed since.
func (a Ancestor) Exe() string { return filepath.Join("/proc", a.path("exe")) }

// Dir returns the working directory of the process.
func (a Ancestor) Dir() (string, error) { return os.Readlink(filepath.Join("/proc", a.path("cwd"))) }

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
