package saved

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"oci-timens/internal/private"
)

// rootDir is where root's are, which outlasts the machine's running.
const rootDir = "/var/lib/oci-timens/saved"

// folder is an open store.
type folder struct {
	root *os.Root
	file *os.File // the folder itself
	lock *os.File // or nil
}

// lockName is a file that nobody else can open, for a folder that others can, as a
// kubelet makes it: they could lock that, and keep containers from starting.
const lockName = ".lock"

// path is where the store is. Runtimes start hooks mostly without an environment, so that
// a user's home has to come from /etc/passwd.
func (s Store) path() (string, error) {
	if s.dir != "" {
		return s.dir, nil
	}
	uid, mapped, err := private.OuterUID()
	if err != nil {
		return "", err
	}
	if os.Geteuid() == 0 && !mapped {
		return rootDir, nil
	}
	home, err := homeOf(uid)
	if err != nil {
		return "", fmt.Errorf("there is no folder to keep snapshots in: %w: name one by saved-dir in config.toml", err)
	}
	return filepath.Join(home, ".local/state/oci-timens/saved"), nil
}

// Where is the path of the store.
func (s Store) Where() string {
	path, err := s.path()
	if err != nil {
		return "a folder that is not there"
	}
	return path
}

func homeOf(uid int) (string, error) {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		e := strings.Split(lines.Text(), ":")
		if len(e) == 7 && e[2] == strconv.Itoa(uid) && filepath.IsAbs(e[5]) {
			return e[5], nil
		}
	}
	return "", fmt.Errorf("user %d has no home in /etc/passwd", uid)
}

// open opens the store, which it makes if told so where it is not there. Nobody else may
// be able to write there.
func (s Store) open(create bool) (*folder, error) {
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	root, err := private.Open(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := makeFolder(path); err != nil {
			return nil, err
		}
		root, err = private.Open(path)
	}
	if err != nil {
		return nil, err
	}
	f := &folder{root: root}
	if f.file, err = root.Open("."); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func makeFolder(path string) error {
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// hold waits for the lock of the store, which ends when the folder is closed.
func (f *folder) hold() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return private.Lock(f.file, lockTimeout)
	}
	f.lock, err = f.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	return private.Lock(f.lock, lockTimeout)
}

func (f *folder) close() {
	if f.lock != nil {
		f.lock.Close()
	}
	if f.file != nil {
		f.file.Close()
	}
	f.root.Close()
}

// path is the file of a name, for messages.
func (f *folder) path(name string) string { return filepath.Join(f.root.Name(), inFolder(name)) }

func inFolder(name string) string {
	dir, file := split(name)
	return filepath.Join(dir, file)
}

func (f *folder) read(name string) (record, error) {
	file, err := f.root.OpenFile(inFolder(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return record{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return record{}, err
	}
	if !info.Mode().IsRegular() || !private.Ours(info) {
		return record{}, f.bad(name, errors.New("it is no regular file that only this user can write to"))
	}
	text, err := io.ReadAll(io.LimitReader(file, maxText+1))
	if err != nil {
		return record{}, err
	}
	r, err := parse(string(text))
	if err != nil {
		return record{}, f.bad(name, err)
	}
	return r, nil
}

// bad names a file that cannot be used, and must not be passed over: a container that
// started anew in its place could see its clocks go backward.
func (f *folder) bad(name string, err error) error {
	return fmt.Errorf("%s: %w: put it right, or remove it for clocks that start anew", f.path(name), err)
}

// mayAdd refuses one more than a namespace may have.
func (f *folder) mayAdd(name string, limit int) error {
	dir, _ := split(name)
	d, err := f.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return err
	}
	n := 0
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			n++
		}
	}
	if n >= limit {
		return fmt.Errorf("%s has %d snapshots, and policy.max-saved allows no more: remove those that nobody needs", filepath.Join(f.root.Name(), dir), n)
	}
	return nil
}

// write replaces what is kept under a name. Whenever it is looked at it is whole, also
// after a power cut, and has reached the disk when write returns.
func (f *folder) write(name string, r record) error {
	dir, file := split(name)
	if dir != "." {
		err := f.root.Mkdir(dir, 0o700)
		if err == nil {
			err = f.file.Sync()
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	tmp := filepath.Join(dir, ".new")
	if err := f.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := f.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, r.String())
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = f.root.Rename(tmp, filepath.Join(dir, file))
	}
	if err != nil {
		_ = f.root.Remove(tmp)
		return err
	}
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
