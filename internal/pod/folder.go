package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// folders lists where records may be kept, best first. All are empty after a reboot.
// An engine without root's rights runs its runtime and hooks as root of a user
// namespace, and hooks mostly without an environment: all have to find the same folder.
func folders() (list []string) {
	add := func(dir string) {
		if dir = filepath.Join(dir, "oci-timens"); !slices.Contains(list, dir) {
			list = append(list, dir)
		}
	}
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		text = []byte(everybody)
	}
	uid, mapped := outerUID(string(text), os.Geteuid())
	if os.Geteuid() == 0 {
		add("/run")
		if !mapped {
			return list
		}
	}
	if uid >= 0 {
		add("/run/user/" + strconv.Itoa(uid))
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		add(d)
	}
	return list
}

// everybody is the map of the initial user namespace, user_namespaces(7).
const everybody = "0 0 4294967295"

// outerUID returns what a user is called outside of this user namespace, or -1, and
// whether this is another one than the initial one.
func outerUID(uidMap string, uid int) (outer int, mapped bool) {
	f := strings.Fields(uidMap)
	mapped = strings.Join(f, " ") != everybody
	for ; len(f) >= 3; f = f[3:] {
		inside, err1 := strconv.Atoi(f[0])
		first, err2 := strconv.Atoi(f[1])
		count, err3 := strconv.Atoi(f[2])
		if err1 == nil && err2 == nil && err3 == nil && inside <= uid && uid-inside < count {
			return first + uid - inside, mapped
		}
	}
	return -1, mapped
}

// openFolder opens the first folder of a name that only this user can write to.
func openFolder(folders []string, name string, mkdir func(string, fs.FileMode) error) (*os.Root, error) {
	errs := []error{errors.New("there is no folder to keep them in")}
	for _, dir := range folders {
		root, err := tryFolder(dir, name, mkdir)
		if err == nil {
			return root, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
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
		if root, err = os.OpenRoot(path); err != nil {
			return nil, err
		}
		info, err := root.Stat(".")
		if err == nil && !oursAlone(info) {
			err = fmt.Errorf("%s can be written to by others, or belongs to another user than %d (mode %04o)", path, os.Geteuid(), info.Mode().Perm())
		}
		if err != nil {
			root.Close()
			return nil, err
		}
	}
	return root, nil
}

// oursAlone reports whether nobody else can have written there.
func oursAlone(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
