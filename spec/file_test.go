package spec

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/internal/testenv"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func openFile(t *testing.T, dir string) (*File, *Document) {
	t.Helper()
	f, d, err := OpenFile(dir, "config.json")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, d
}

// wantFile checks the text of config.json, and that nothing is beside it.
func wantFile(t *testing.T, dir, text string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil || string(got) != text {
		t.Errorf("config.json is %.100q, %v; want %.100q", got, err, text)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Errorf("in the directory are %v, %v", list, err)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	write(t, config, `{"a":1}`)
	uid, gid, mode := os.Getuid(), os.Getgid(), uint32(0o640)
	if uid == 0 {
		uid, gid, mode = 1234, 4321, 0o6751
	}
	for _, err := range []error{os.Chown(config, uid, gid), unix.Chmod(config, mode)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	hard := link + "-hard" // keeps the old text
	if err := errors.Join(os.Symlink(dir, link), os.Link(config, hard)); err != nil {
		t.Fatal(err)
	}
	f, d := openFile(t, link)
	if err := os.Rename(link, link+"2"); err != nil { // the directory is open
		t.Fatal(err)
	}

	var before, after unix.Stat_t
	if err := unix.Stat(config, &before); err != nil {
		t.Fatal(err)
	}
	if err := f.Replace(d); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(config, &after); err != nil || before != after {
		t.Errorf("without a change, %v became %v, %v", before, after, err)
	}
	for i, want := range []string{`{"a":1,"b":0}`, `{"a":1,"b":1}`} { // twice from one reading
		if err := d.Set(i, "b"); err != nil {
			t.Fatal(err)
		}
		if err := f.Replace(d); err != nil {
			t.Fatal(err)
		}
		wantFile(t, dir, want)
	}
	if err := unix.Stat(config, &after); err != nil {
		t.Fatal(err)
	}
	if int(after.Uid) != uid || int(after.Gid) != gid || after.Mode != unix.S_IFREG|mode {
		t.Errorf("uid %d, gid %d, mode %o", after.Uid, after.Gid, after.Mode)
	}
	if old, err := os.ReadFile(hard); err != nil || string(old) != `{"a":1}` {
		t.Errorf("the file was written in place: %s, %v", old, err)
	}
}

func TestReplaceRefusesWhatChanged(t *testing.T) {
	for name, change := range map[string]func(config string) error{
		"other file": func(config string) error {
			return errors.Join(os.WriteFile(config+"2", []byte(`{"a":1}`), 0o600), os.Rename(config+"2", config))
		},
		"other text": func(config string) error { return os.WriteFile(config, []byte(`{"a":12}`), 0o600) },
		"symbolic link": func(config string) error {
			return errors.Join(os.Remove(config), os.Symlink("/dev/null", config))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			config := filepath.Join(dir, "config.json")
			write(t, config, `{"a":1}`)
			f, d := openFile(t, dir)
			if err := errors.Join(change(config), d.Set(2, "a")); err != nil {
				t.Fatal(err)
			}
			changed, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, f.Replace(d), config+": changed by somebody else since it was read: start the container again")
			wantFile(t, dir, string(changed))
			if err := os.Remove(config); err != nil {
				t.Fatal(err)
			}
			wantError(t, f.Replace(d), "stat "+config+": no such file or directory")
		})
	}
}

// What a link leads to is read, but neither it nor the link is replaced.
func TestOpenFileThroughLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	config := filepath.Join(dir, "config.json")
	write(t, elsewhere, `{"a":1}`)
	if err := os.Symlink(elsewhere, config); err != nil {
		t.Fatal(err)
	}
	f, d := openFile(t, dir)
	if err := f.Replace(d); err != nil {
		t.Error(err)
	}
	if err := d.Set(2, "a"); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.Replace(d), config+": a symbolic link, which is not followed: put the file itself into the bundle")
	wantFile(t, dir, `{"a":1}`)
	if to, err := os.Readlink(config); to != elsewhere {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

func TestOpenFileRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(config string) error
		want string // after the path
	}{
		"link to one": {func(c string) error { return os.Symlink("/dev/null", c) }, "a device, where a regular file is needed"},
		"directory":   {func(c string) error { return os.Mkdir(c, 0o700) }, "a directory, where a regular file is needed"},
		"FIFO":        {func(c string) error { return unix.Mkfifo(c, 0o600) }, "a FIFO, where a regular file is needed"},
		"device":      {func(c string) error { return unix.Mknod(c, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) }, "a device, where a regular file is needed"},
		"socket": {func(c string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: c})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}, "a socket, where a regular file is needed"},
		"huge":    {func(c string) error { return errors.Join(os.WriteFile(c, nil, 0o600), os.Truncate(c, MaxConfigSize+1)) }, "larger than 16777216 bytes"},
		"no JSON": {func(c string) error { return os.WriteFile(c, []byte("{\n]"), 0o600) }, "line 2, column 1: invalid character ']' looking for beginning of object key string"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "spec") // t.TempDir is too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			config := filepath.Join(dir, "config.json")
			if err := tt.make(config); errors.Is(err, unix.EPERM) {
				testenv.Lacks(t, "root", err)
			} else if err != nil {
				t.Fatal(err)
			}
			_, _, err = OpenFile(dir, "config.json")
			wantError(t, err, config+": "+tt.want)
		})
	}
	dir := t.TempDir()
	_, _, err := OpenFile(dir, "config.json")
	wantError(t, err, "stat "+dir+"/config.json: no such file or directory")
	_, _, err = OpenFile(dir+"/none", "config.json")
	wantError(t, err, "open "+dir+"/none: no such file or directory")
	_, _, err = OpenFile("/dev/null", "config.json")
	wantError(t, err, "open /dev/null: not a directory")
	_, _, err = OpenFile(dir, "../config.json")
	wantError(t, err, `"../config.json" is no file name`)
}

// A file system that is full, or read-only, leaves config.json as it was.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	// In mounts of this thread's own, which ends with the test.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		testenv.Lacks(t, "root", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	text := `{"a":"` + strings.Repeat("x", 8000) + `"}` // two pages of four, and none for itself
	write(t, filepath.Join(dir, "config.json"), text)
	f, d := openFile(t, dir)
	if err := d.Set(strings.Repeat("y", 12000), "b"); err != nil {
		t.Fatal(err)
	}
	err := f.Replace(d)
	if !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(err.Error(), "replace "+dir+"/config.json: write ") {
		t.Errorf("on a full file system: %v", err)
	}
	wantFile(t, dir, text)

	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	f, d = openFile(t, dir)
	if err := d.Set(1, "b"); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.Replace(d), "replace "+dir+"/config.json: read-only file system")
	wantFile(t, dir, text)
}

// Without write permission nothing can be created.
func TestReplaceWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.json"), `{}`)
	f, d := openFile(t, dir)
	if err := errors.Join(d.Set(1, "a"), os.Chmod(dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700) // so that it can be removed
	if os.Getuid() == 0 {      // root has every permission, until it takes another user's
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
	}
	err := f.Replace(d)
	if e := unix.Setfsuid(os.Getuid()); e != nil {
		t.Fatal(e)
	}
	wantError(t, err, "replace "+dir+"/config.json: permission denied")
	wantFile(t, dir, `{}`)
}
