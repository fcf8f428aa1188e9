package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// program returns the path of a program of ours that an engine is to run: given by
// an option, or installed. Whoever can change that file, or put another in its
// place, can do what the engine can, which is mostly everything.
func (h *Host) program(name, option, given string) (string, error) {
	path := given
	if path == "" {
		if path = h.Installed(name); path == "" {
			return "", fmt.Errorf("%s was not found beside timensctl, in its usual places or in PATH: install it, or name it by %s", name, option)
		}
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s %q is not an absolute path: engines run it from other directories", option, path)
	}
	path = filepath.Clean(path)
	info, err := os.Stat(h.real(path))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s %q: %w", option, path, unwrapPath(err))
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return "", fmt.Errorf("%s %q is not an executable file", option, path)
	case info.Mode().Perm()&0o022 != 0:
		return "", fmt.Errorf("%s %q has mode %04o, so that others than its owner could change what the engine runs: chmod go-w it", option, path, info.Mode().Perm())
	}
	if err := h.checkOwner(option, path, info); err != nil {
		return "", err
	}
	return path, h.checkDirs(option, path)
}

// checkDirs refuses a path that others could make lead elsewhere: by its name, or by
// where links lead.
func (h *Host) checkDirs(option, path string) error {
	real, err := h.resolve(path)
	if err != nil {
		return err
	}
	for _, p := range []string{path, real} {
		for dir := filepath.Dir(p); ; dir = filepath.Dir(dir) {
			if err := h.checkDir(option, path, dir); err != nil {
				return err
			}
			if dir == "/" {
				break
			}
		}
	}
	return nil
}

func (h *Host) checkDir(option, path, dir string) error {
	info, err := os.Stat(h.real(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // made by us
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", option, path, err)
	}
	// Not the group: /usr/local/bin belongs to root:staff on Debian.
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("%s %q is in the directory %s, where anybody could replace it: chmod o-w that", option, path, dir)
	}
	if uid := owner(info); uid != 0 && uid != h.UID {
		return fmt.Errorf("%s %q is in the directory %s of user %d, who could replace it: use one of root's", option, path, dir, uid)
	}
	return nil
}

func (h *Host) checkOwner(option, path string, info fs.FileInfo) error {
	if uid := owner(info); uid != 0 && uid != h.UID {
		return fmt.Errorf("%s %q belongs to user %d, who could change what the engine runs: chown it to root", option, path, uid)
	}
	return nil
}

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return 0
}

func unwrapPath(err error) error {
	if p, ok := err.(*fs.PathError); ok { //nolint:errorlint // os.Stat returns it as it is
		return p.Err
	}
	return err
}
