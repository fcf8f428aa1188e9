// Package private is about folders that only this user can write to, in which programs
// of ours keep what they tell each other.
//
// What is kept there, and where, does not belong here.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// everybody is the map of the initial user namespace, user_namespaces(7).
const everybody = "0 0 4294967295"

// OuterUID returns what this user is called outside of this user namespace, or -1, and
// whether this is another one than the initial one: an engine without root's rights runs
// its runtime and hooks as root of a user namespace. Where that cannot be told it is an
// error: who took it for the initial one would look for what is kept in another folder.
func OuterUID() (outer int, mapped bool, err error) {
	text, err := os.ReadFile("/proc/self/uid_map")
	if errors.Is(err, fs.ErrNotExist) { // a kernel without user namespaces
		text, err = []byte(everybody), nil
	}
	if err != nil {
		return -1, false, err
	}
	outer, mapped = outerUID(string(text), os.Geteuid())
	return outer, mapped, nil
}

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

// Check is an error unless nobody else can have written to the file or folder at path.
func Check(path string, info fs.FileInfo) error {
	if !Ours(info) {
		return fmt.Errorf("%s can be written to by others, or belongs to another user than %d (mode %04o)", path, os.Geteuid(), info.Mode().Perm())
	}
	return nil
}

// Ours reports whether nobody else can have written there.
func Ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}

// Lock waits for the lock of a file or folder, which ends when f is closed.
func Lock(f *os.File, timeout time.Duration) error {
	for limit := time.Now().Add(timeout); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return os.NewSyscallError("flock "+f.Name(), err)
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%s has been locked for %v by another process: see who holds it (lslocks)", f.Name(), timeout)
		}
		// By this thread: time.Sleep is late where others have another timer slack (internal/early).
		_ = unix.Nanosleep(&unix.Timespec{Nsec: int64(time.Millisecond)}, nil)
	}
}
