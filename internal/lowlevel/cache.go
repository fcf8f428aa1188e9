package lowlevel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cacheDirs lists where answers may be kept, best first. Both places are empty
// after a reboot.
func cacheDirs() (dirs []string) {
	if os.Geteuid() == 0 {
		dirs = append(dirs, "/run/oci-timens")
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		dirs = append(dirs, filepath.Join(d, "oci-timens"))
	}
	return dirs
}

// cache is a directory with one file for each program; nil is one that keeps
// nothing. What goes wrong with it costs a call of --version, and is no error.
//
// By system calls: the first os.File of a process that is opened by its name, or in an
// os.Root, has Go's runtime set up epoll, which takes ten times as long as the read.
type cache struct {
	dir  int // open
	path string
}

// openCache opens the first directory that only this user can write to, and
// makes it if it is not there.
func openCache(dirs []string) *cache {
	for _, path := range dirs {
		if err := os.Mkdir(path, 0o700); err != nil && !os.IsExist(err) {
			continue
		}
		// O_NOFOLLOW: $XDG_RUNTIME_DIR may still be another user's, as after sudo -E.
		dir, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if oursAlone(dir, unix.S_IFDIR) {
			return &cache{dir, path}
		}
		unix.Close(dir)
	}
	return nil
}

// oursAlone reports whether an open file is of a type, and nobody else can have written
// there: what is in the cache decides how a container gets its clocks.
func oursAlone(fd int, typ uint32) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == typ && int(st.Uid) == os.Geteuid() && st.Mode&0o022 == 0
}

func (c *cache) close() {
	if c != nil {
		unix.Close(c.dir)
	}
}

// entry is the file of a program; key is its first line.
func (id fileID) entry() string { return fmt.Sprintf("runtime-%x-%x", id.dev, id.ino) }
func (id fileID) key() string {
	return fmt.Sprintf("oci-timens 1 %d %d %d", id.size, id.mtime, id.ctime)
}

// get returns what was put for the same id.
func (c *cache) get(id fileID) (name, version string, ok bool) {
	if c == nil {
		return "", "", false
	}
	l := c.read(id.entry())
	if l == nil || l[0] != id.key() {
		return "", "", false
	}
	return l[1], l[2], true
}

// read returns the lines of an entry, which are key, name and version, or nil.
func (c *cache) read(entry string) []string {
	fd, err := unix.Openat(c.dir, entry, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if !oursAlone(fd, unix.S_IFREG) {
		return nil
	}
	text := make([]byte, 1024)
	n, err := unix.Read(fd, text) // a regular file's, and hence all that it has
	if err != nil {
		return nil
	}
	// with an end that shows that nothing is missing
	l := strings.Split(string(text[:n]), "\n")
	if len(l) != 4 || l[1] == "" || l[3] != "" {
		return nil
	}
	return l
}

// put replaces what is there for id.
func (c *cache) put(id fileID, name, version string) { c.write(id.entry(), id.key(), name, version) }

// write replaces an entry.
func (c *cache) write(entry, key, name, version string) {
	if c == nil {
		return
	}
	tmp := fmt.Sprintf("%s.%d", entry, os.Getpid())
	fd, err := unix.Openat(c.dir, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	text := fmt.Sprintf("%s\n%s\n%s\n", key, name, version)
	n, err := unix.Write(fd, []byte(text)) // a part of it is no entry to who reads it
	if e := unix.Close(fd); err == nil {
		err = e
	}
	if err == nil && n == len(text) {
		err = unix.Renameat(c.dir, tmp, c.dir, entry)
	}
	if err != nil || n != len(text) {
		_ = unix.Unlinkat(c.dir, tmp, 0)
	}
}
