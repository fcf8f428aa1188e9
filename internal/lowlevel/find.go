// Package lowlevel finds the low-level runtime of this host, runc or crun, and
// tells which one it is and in what version.
//
// What a version can do is decided elsewhere, and running containers with it is
// left to who found it.
package lowlevel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// DefaultPath is where to look when PATH is not set, as engines do that start
// their runtime with an empty environment.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Find returns the absolute path of the first candidate that is there: an
// absolute path, or a name that is looked for in PATH. The running program is
// never the answer, so that a runc shim that is called runc, and comes first in
// PATH, finds the real one behind it; nor is a copy of it, as two of them would
// start each other for ever. That remains so with two versions of the shim, both
// called as a candidate is: each takes the other for the runtime.
//
// An error matches [ErrNone] where it is certain that there is none.
func Find(candidates []string) (string, error) {
	// Not os.Executable: its name does not lead to the running program any more
	// when that was replaced meanwhile.
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("find the low-level runtime: what is running cannot be told: %w", err)
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = DefaultPath
	}
	var doubt error
	for _, c := range candidates {
		paths := []string{c}
		if !filepath.IsAbs(c) {
			paths = paths[:0]
			for _, dir := range filepath.SplitList(path) {
				// Names relative to wherever the engine is are not to be trusted.
				if filepath.IsAbs(dir) {
					paths = append(paths, filepath.Join(dir, c))
				}
			}
		}
		for _, p := range paths {
			info, err := os.Stat(p)
			if err != nil && !isAbsent(err) {
				doubt = errors.Join(doubt, err)
			}
			if err == nil && isProgram(p, info, self) {
				return p, nil
			}
		}
	}
	if doubt != nil {
		return "", fmt.Errorf("find the low-level runtime %s: whether it is there cannot be told: %w", quoted(candidates), doubt)
	}
	return "", fmt.Errorf("%w: looked for %s in PATH=%q; install one, or name it by the key runtimes of the configuration file",
		ErrNone, quoted(candidates), path)
}

// ErrNone is the error of Find that there is no low-level runtime.
var ErrNone = errors.New("no low-level runtime found")

// isAbsent tells whether an error means that nobody like us can run anything by that name.
func isAbsent(err error) bool {
	for _, e := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func isProgram(path string, info, self os.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 &&
		!os.SameFile(info, self) && !(info.Size() == self.Size() && isCopy(path))
}

// isCopy reports whether the program at path has the content of the running one.
func isCopy(path string) bool {
	a, err := os.Open("/proc/self/exe")
	if err != nil {
		return false
	}
	defer a.Close()
	b, err := os.Open(path)
	if err != nil {
		return false // may be executed, but not read
	}
	defer b.Close()
	var bufA, bufB [64 << 10]byte
	for {
		n, errA := io.ReadFull(a, bufA[:])
		m, errB := io.ReadFull(b, bufB[:])
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return atEnd(errA) && atEnd(errB)
		}
	}
}

func atEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}
