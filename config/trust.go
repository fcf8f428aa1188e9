package config

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// The configuration names the program that is run as low-level runtime, with the
// rights of who calls us. So nobody else than root and this user may be able to
// change its files, or to put others in their place.

// checkTrusted refuses a file or directory that others can change. In a sticky
// directory, as /tmp is, nobody can remove or rename what belongs to others.
func checkTrusted(what, path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s %q: whom it belongs to cannot be told", what, path)
	}
	mode := info.Mode()
	switch euid := os.Geteuid(); {
	case !trustedOwner(int(st.Uid), euid, uidMap):
		who := "root"
		if euid != 0 {
			who = fmt.Sprintf("root or user %d", euid)
		}
		return fmt.Errorf("%s %q belongs to user %d, who could change it: chown it to %s", what, path, st.Uid, who)
	case mode.IsDir() && mode&fs.ModeSticky != 0:
		return nil
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s %q has mode %04o, so that others than its owner could change it: chmod go-w it", what, path, mode.Perm())
	}
	return nil
}

// checkDirectory refuses a directory in which others can replace files.
func checkDirectory(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("configuration directory: %w", err)
	}
	return checkTrusted("configuration directory", path, info)
}

// overflowUID is shown in place of users without a name in the user namespace
// (the default of /proc/sys/kernel/overflowuid; user_namespaces(7)).
const overflowUID = 65534

// trustedOwner reports whether files of a user are trusted by the one who runs
// this. In a user namespace, as in that of a rootless engine, the host's root has
// no number of its own; what is root's cannot be told from what belongs to any
// other user outside, and is taken for root's.
func trustedOwner(owner, euid int, uidMap func() string) bool {
	switch owner {
	case 0, euid:
		return true
	case overflowUID:
		// All users of the initial user namespace are mapped to themselves.
		return strings.Join(strings.Fields(uidMap()), " ") != "0 0 4294967295"
	}
	return false
}

// uidMap is read here, and not by package timens, because that would have to be
// asked for something that has nothing to do with time.
func uidMap() string {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return "0 0 4294967295" // trusts less
	}
	return string(text)
}
