package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDisks has the bundle be on a disk that is full, out of inodes or read-only: nothing
// is made to fail here but by the kernel.
func TestDisks(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(dir string) error
		text  string
	}{
		"full":          {fill, "no space left on device"},
		"out of inodes": {exhaust, "no space left on device"},
		"read-only":     {func(dir string) error { return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") }, "read-only file system"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range lowLevels(t) {
				c, err := r.container(t)
				if err != nil {
					t.Fatal(err)
				}
				c.shimmed = true
				c.ask(asking...)
				if err := unix.Mount("tmpfs", c.bundle(), "tmpfs", 0, "size=256k,nr_inodes=16"); err != nil {
					t.Fatal(err)
				}
				err = errors.Join(c.write(), tt.spoil(c.bundle()))
				before := fmt.Sprint(listing(c.bundle()))
				if err == nil {
					var got result
					if got, err = c.run(false); err == nil && (got.exit != 1 || got.stdout != "" || !strings.Contains(got.stderr, tt.text)) {
						err = fmt.Errorf("%v, want it to say %q", got, tt.text)
					}
				}
				if after := fmt.Sprint(listing(c.bundle())); after != before {
					err = errors.Join(err, fmt.Errorf("the bundle has %s, and had %s", after, before))
				}
				err = errors.Join(err, c.unchanged(), unix.Unmount(c.bundle(), 0), c.gone(false), c.remove())
				if err != nil {
					t.Errorf("%s: %v", r.key, err)
				}
			}
		})
	}
}

// fill writes until there is no space left.
func fill(dir string) error {
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return unlessFull(err)
}

// exhaust makes files until there can be no more.
func exhaust(dir string) error {
	for i := 0; ; i++ {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint("filler", i)))
		if err != nil {
			return unlessFull(err)
		}
		f.Close()
	}
}

func unlessFull(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return err
}
