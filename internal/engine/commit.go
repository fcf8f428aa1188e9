package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// commit writes the changes. Between any two of its steps the machine may lose
// power: the record comes first and goes last, each file is replaced whole, and
// what others refer to is there before them. If a step fails, those before it are
// undone.
type commit struct {
	h    *Host
	undo []func() error
}

// did is called after each step.
func (c *commit) did(undo func() error) {
	c.undo = append(c.undo, undo)
	if c.h.step != nil {
		c.h.step()
	}
}

// rollback undoes the steps and adds to err what could not be undone.
func (c *commit) rollback(err error) error {
	h := *c.h
	h.step = nil
	c.h = &h
	for _, f := range slices.Backward(c.undo) {
		if e := f(); e != nil {
			err = fmt.Errorf("%w; and to undo what was done before: %w", err, e)
		}
	}
	return err
}

// write puts data into a file, atomically and onto the disk. data nil removes it.
func (c *commit) write(path string, data []byte, mode fs.FileMode) error {
	before, err := c.h.read(path)
	if err != nil {
		return err
	}
	if before == nil && data == nil {
		return nil
	}
	if data == nil {
		err = os.Remove(c.h.real(path))
	} else {
		err = c.h.replace(path, data, mode)
	}
	if err != nil {
		return err
	}
	if err := syncDir(c.h.real(filepath.Dir(path))); err != nil {
		return err
	}
	c.did(func() error { return (&commit{h: c.h}).write(path, before, mode) })
	return nil
}

// temporary is where a file is written before it takes its name. What a power cut
// leaves of it is found by that name. Engines read what ends in .conf, .json or .toml,
// but CRI-O reads whatever is in its directory (UpdateFromPath, pkg/config/config.go).
func temporary(path string) string {
	dir := filepath.Dir(path)
	if filepath.Base(dir) == crioDropIns {
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, "."+filepath.Base(path)+".timensctl")
}

// replace keeps mode, owner and extended attributes of a file that is there.
func (h *Host) replace(path string, data []byte, mode fs.FileMode) error {
	tmp := h.real(temporary(path))
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = fill(f, h.real(path), data, mode)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, h.real(path))
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

func fill(f *os.File, old string, data []byte, mode fs.FileMode) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	var st unix.Stat_t
	if unix.Stat(old, &st) == nil {
		if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
		if err := unix.Fchmod(int(f.Fd()), st.Mode&0o7777); err != nil {
			return err
		}
		copyAttributes(f, old)
	} else if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.Sync()
}

// copyAttributes copies labels and access lists as far as that is allowed: a
// security module gives new files a label of its own.
func copyAttributes(f *os.File, old string) {
	names := make([]byte, 4096)
	n, err := unix.Listxattr(old, names)
	if err != nil {
		return
	}
	value := make([]byte, 64<<10)
	for name := range bytes.SplitSeq(names[:n], []byte{0}) {
		if len(name) == 0 {
			continue
		}
		if n, err := unix.Getxattr(old, string(name), value); err == nil {
			_ = unix.Fsetxattr(int(f.Fd()), string(name), value[:n], 0)
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// mkdirs makes the directories of list that are not there.
func (c *commit) mkdirs(list []string) error {
	for _, dir := range list {
		err := os.Mkdir(c.h.real(dir), 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		// Engines read it, whatever the umask.
		if err := os.Chmod(c.h.real(dir), 0o755); err != nil {
			return err
		}
		if err := syncDir(c.h.real(filepath.Dir(dir))); err != nil {
			return err
		}
		c.did(func() error { return os.Remove(c.h.real(dir)) })
	}
	return nil
}

// rmdirs removes those of list that are empty, and returns what is left.
func (c *commit) rmdirs(list []string) (left []string) {
	for _, dir := range slices.Backward(list) {
		err := unix.Rmdir(c.h.real(dir))
		switch {
		case err == nil:
			c.did(func() error { return os.Mkdir(c.h.real(dir), 0o755) })
		case !errors.Is(err, fs.ErrNotExist):
			left = append(left, dir)
		}
	}
	slices.Reverse(left)
	return left
}

// missing lists the directories above path that are not there, outermost first.
func (h *Host) missing(path string) (dirs []string) {
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(h.real(dir)); err == nil {
			break
		}
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// save writes a record.
func (c *commit) save(path string, r *record) error {
	return c.write(path, []byte(indentJSON(r)), 0o600)
}
