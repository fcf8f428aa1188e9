package spec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxConfigSize is the largest config.json that is read, in bytes.
const MaxConfigSize = 16 << 20

// File is a config.json in an open bundle directory, so that a directory that
// is moved or replaced meanwhile redirects nothing.
type File struct {
	dir     int // an open directory
	dirName string
	name    string
	link    bool        // name is a symbolic link
	stat    unix.Stat_t // of the file that was read
}

// OpenFile reads the file name in the directory dir, to be replaced later. Both
// may be reached through symbolic links, but then Replace refuses to replace the
// file. It must be a regular one of at most MaxConfigSize bytes, and is not
// opened otherwise: a FIFO would block, and a device do what devices do.
func OpenFile(dir, name string) (*File, *Document, error) {
	f, text, err := OpenText(dir, name)
	if err != nil {
		return nil, nil, err
	}
	d, err := f.Parse(text)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, d, nil
}

// OpenText is OpenFile for who may not need to have the text parsed.
func OpenText(dir, name string) (*File, []byte, error) {
	if name == "" || strings.Contains(name, "/") {
		return nil, nil, fmt.Errorf("%q is no file name", name)
	}
	// By system calls: an os.File would be registered with epoll first, which costs
	// a hook or shim, that read this one file, more than to read it.
	df, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f := &File{dir: df, dirName: dir, name: name}
	text, err := f.read()
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, text, nil
}

// Parse is ParseDocument with the file's path in errors.
func (f *File) Parse(text []byte) (*Document, error) { return parseDocument(text, f.path()) }

// ReadFile is OpenFile for who only wants to read.
func ReadFile(dir, name string) (*Document, error) {
	f, d, err := OpenFile(dir, name)
	if err != nil {
		return nil, err
	}
	return d, f.Close()
}

// Close releases the directory.
func (f *File) Close() error { return os.NewSyscallError("close", unix.Close(f.dir)) }

func (f *File) path() string { return filepath.Join(f.dirName, f.name) }

func (f *File) fail(op string, err error) error {
	return &os.PathError{Op: op, Path: f.path(), Err: err}
}

func (f *File) read() ([]byte, error) {
	var st unix.Stat_t
	err := unix.Fstatat(f.dir, f.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	flags := unix.O_NOFOLLOW
	if f.link = err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK; f.link {
		err = unix.Fstatat(f.dir, f.name, &st, 0)
		flags = 0
	}
	if err != nil {
		return nil, f.fail("stat", err)
	}
	if err := f.checkType(&st); err != nil {
		return nil, err
	}
	// O_NONBLOCK for what may have been put in its place since.
	fd, err := unix.Openat(f.dir, f.name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY|flags, 0)
	if err != nil {
		return nil, f.fail("open", err)
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &f.stat); err != nil {
		return nil, f.fail("stat", err)
	}
	if err := f.checkType(&f.stat); err != nil {
		return nil, err
	}
	return f.readAll(fd)
}

// readAll reads an open file, with one byte more of room than its size: mostly, the
// second read finds the end.
func (f *File) readAll(fd int) ([]byte, error) {
	data := make([]byte, 0, f.stat.Size+1)
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, f.fail("read", err)
		}
		if n == 0 {
			return data, nil
		}
		if data = data[:len(data)+n]; len(data) > MaxConfigSize {
			return nil, f.tooLarge()
		}
		if len(data) == cap(data) { // it has grown since
			data = append(data, 0)[:len(data)]
		}
	}
}

func (f *File) tooLarge() error {
	return fmt.Errorf("%s: larger than %d bytes", f.path(), MaxConfigSize)
}

func (f *File) checkType(st *unix.Stat_t) error {
	kind := "a special file"
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if st.Size > MaxConfigSize {
			return f.tooLarge()
		}
		return nil
	case unix.S_IFDIR:
		kind = "a directory"
	case unix.S_IFIFO:
		kind = "a FIFO"
	case unix.S_IFCHR, unix.S_IFBLK:
		kind = "a device"
	case unix.S_IFSOCK:
		kind = "a socket"
	}
	return fmt.Errorf("%s: %s, where a regular file is needed", f.path(), kind)
}

// Replace puts the text of d in the place of the file, atomically: who reads it
// meanwhile sees the old text or the new. Mode and owner stay; it becomes a new
// inode. It is not synced to the disk, which would hold up the start of a container
// by milliseconds: after a power cut, engines write their bundles anew. Nothing is
// written when d is unchanged. It refuses when the file is not
// the one any more that was read, or was read through a symbolic link. When it
// fails, the file is as it was.
func (f *File) Replace(d *Document) error {
	if !d.Changed() {
		return nil
	}
	if f.link {
		return fmt.Errorf("%s: a symbolic link, which is not followed: put the file itself into the bundle", f.path())
	}
	var st unix.Stat_t
	if err := unix.Fstatat(f.dir, f.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return f.fail("stat", err)
	}
	if st.Dev != f.stat.Dev || st.Ino != f.stat.Ino || st.Size != f.stat.Size || st.Mtim != f.stat.Mtim {
		return fmt.Errorf("%s: changed by somebody else since it was read: start the container again", f.path())
	}
	tmp, out, err := f.createTemp()
	if err != nil {
		return err
	}
	err = f.fill(out, d.Bytes(), &st)
	if err == nil {
		if e := unix.Renameat(f.dir, tmp, f.dir, f.name); e != nil {
			err = f.fail("rename", e)
		}
	}
	if err != nil {
		_ = unix.Unlinkat(f.dir, tmp, 0)
		return err
	}
	f.stat = st
	return nil
}

// createTemp makes a file beside the one to be replaced, which nobody else can
// read yet.
func (f *File) createTemp() (string, *os.File, error) {
	for {
		name := fmt.Sprintf(".%s.%016x", f.name, rand.Uint64())
		fd, err := unix.Openat(f.dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			return name, os.NewFile(uintptr(fd), filepath.Join(f.dirName, name)), nil
		}
		if !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EINTR) {
			return "", nil, f.fail("replace", err)
		}
	}
}

// fill writes and closes a temporary file that is to have the owner and mode in
// st, and stores in st what it has become.
func (f *File) fill(out *os.File, data []byte, st *unix.Stat_t) error {
	uid, gid, mode := st.Uid, st.Gid, st.Mode&0o7777
	_, err := out.Write(data)
	if err == nil {
		err = unix.Fstat(int(out.Fd()), st)
	}
	if err == nil && (st.Uid != uid || st.Gid != gid) {
		err = out.Chown(int(uid), int(gid))
	}
	if err == nil {
		// After the owner, whose change drops bits; and by the number, because
		// os.FileMode has its own.
		err = unix.Fchmod(int(out.Fd()), mode)
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", f.path(), err)
	}
	return nil
}
