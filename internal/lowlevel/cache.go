package lowlevel

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
type cache struct{ root *os.Root }

// openCache opens the first directory that only this user can write to, and
// makes it if it is not there.
func openCache(dirs []string) *cache {
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
			continue
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			continue
		}
		if info, err := root.Stat("."); err == nil && oursAlone(info) {
			return &cache{root}
		}
		root.Close()
	}
	return nil
}

// oursAlone reports whether nobody else can have written there: what is in the
// cache decides how a container gets its clocks.
func oursAlone(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}

func (c *cache) close() {
	if c != nil {
		c.root.Close()
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
	f, err := c.root.OpenFile(entry, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || !oursAlone(info) {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil
	}
	// with an end that shows that nothing is missing
	l := strings.Split(string(text), "\n")
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
	f, err := c.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	_, err = fmt.Fprintf(f, "%s\n%s\n%s\n", key, name, version)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = c.root.Rename(tmp, entry)
	}
	if err != nil {
		_ = c.root.Remove(tmp)
	}
}
