package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// diskOf is the image of a disk with the files of a tree, which is kept beside it. It is
// written once, and not at all by guests: a tree that changes has another name.
func diskOf(tree string) (string, error) {
	tree, err := filepath.Abs(tree)
	if err != nil {
		return "", err
	}
	disk := tree + ".ext4"
	lock, err := os.OpenFile(disk+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	// Another test may be at it.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(disk); !errors.Is(err, fs.ErrNotExist) {
		return disk, err
	}
	size, err := sizeOf(tree)
	if err != nil {
		return "", err
	}
	// No journal, as nothing is ever written.
	out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", tree,
		disk+".new", strconv.FormatInt(size>>20, 10)+"M").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("making a disk of %s: %w\n%s", tree, err, out)
	}
	return disk, os.Rename(disk+".new", disk)
}

// sizeOf is what a file system for a tree has to have. What it leaves free takes no space
// in its image.
func sizeOf(tree string) (size int64, err error) {
	err = filepath.WalkDir(tree, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size() + 8<<10
		}
		return err
	})
	return size + size/4 + 64<<20, err
}
