package criu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHostileImages has an image directory come from somebody who wants the shim to wait,
// or to read something else. Nothing of it is written to a container's clocks either.
func TestHostileImages(t *testing.T) {
	const irregular = ": it is no regular file"
	for name, tt := range map[string]struct {
		make func(path string) error
		want string
	}{
		"a FIFO":             {func(p string) error { return unix.Mkfifo(p, 0o600) }, irregular},
		"a folder":           {func(p string) error { return os.Mkdir(p, 0o700) }, irregular},
		"a socket":           {func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) }, ": no such device or address"},
		"a link to a device": {func(p string) error { return os.Symlink("/dev/zero", p) }, ": too many levels of symbolic links"},
		"a link to a file":   {func(p string) error { return os.Symlink("/etc/passwd", p) }, ": too many levels of symbolic links"},
		"a large file":       {func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 1<<40)) }, ""},
	} {
		for file, read := range map[string]func(dir string) error{
			SidecarName:    func(dir string) error { _, err := ReadSidecar(dir); return err },
			"timens-1.img": func(dir string) error { _, err := ReadImages(dir); return err },
			NoteName:       func(dir string) error { _, err := ReadNote(dir); return err },
		} {
			t.Run(name+" as "+file, func(t *testing.T) {
				dir := t.TempDir()
				if err := tt.make(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- read(dir) }()
				select {
				case err := <-done:
					if err == nil || !strings.Contains(err.Error(), file+tt.want) {
						t.Errorf("got %v, want %s", err, tt.want)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("it waits")
				}
			})
		}
	}
}

// TestSplitBounds has the environment name options without an end.
func TestSplitBounds(t *testing.T) {
	if _, _, err := split([]string{"CRIU_CONFIG_FILE=/dev/zero"}); err == nil || err.Error() != "CRIU_CONFIG_FILE in the environment: /dev/zero: larger than 1048576 bytes" {
		t.Error(err)
	}
}
