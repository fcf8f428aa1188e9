package pod

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"oci-timens/internal/private"
)

// folders lists where records may be kept, best first. All are empty after a reboot.
// An engine without root's rights runs its runtime and hooks as root of a user
// namespace, and hooks mostly without an environment: all have to find the same folder.
func folders() (list []string, err error) {
	add := func(dir string) {
		if dir = filepath.Join(dir, "oci-timens"); !slices.Contains(list, dir) {
			list = append(list, dir)
		}
	}
	uid, mapped, err := private.OuterUID()
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		add("/run")
		if !mapped {
			return list, nil
		}
	}
	if uid >= 0 {
		add("/run/user/" + strconv.Itoa(uid))
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		add(d)
	}
	return list, nil
}

// openFolder opens the first folder of a name that only this user can write to. It passes
// over those that nobody like us can use, and no other: containers of a pod that looked
// in different ones would have different clocks.
func openFolder(folders []string, name string, mkdir func(string, fs.FileMode) error) (*os.Root, error) {
	errs := []error{errors.New("there is no folder to keep them in")}
	for _, dir := range folders {
		root, err := tryFolder(dir, name, mkdir)
		if err == nil {
			return root, nil
		}
		if !unusable(err) {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// unusable tells whether an error is about the folder, and not about this moment.
func unusable(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return true // private.Check's
	}
	return slices.Contains([]syscall.Errno{syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP}, errno)
}

// tryFolder opens dir/name, both of which it makes where they are not there.
func tryFolder(dir, name string, mkdir func(string, fs.FileMode) error) (root *os.Root, err error) {
	for _, path := range []string{dir, filepath.Join(dir, name)} {
		if root != nil {
			root.Close()
		}
		if err := mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if root, err = private.Open(path); err != nil {
			return nil, err
		}
	}
	return root, nil
}
