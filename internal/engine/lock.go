package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lock is held while a configuration is changed: one at a time. Its file lists the
// directories that were made for it, and goes with the last record.
type lock struct {
	h    *Host
	dir  string
	f    *os.File
	made []string
}

func (h *Host) lock(dir string) (*lock, error) {
	l := &lock{h: h, dir: dir}
	for {
		again, err := l.try()
		if err != nil {
			return nil, fmt.Errorf("cannot keep a record of what was there before: %w", err)
		}
		if !again {
			return l, nil
		}
	}
}

// try is repeated when the holder before us has removed the file.
func (l *lock) try() (again bool, err error) {
	path := filepath.Join(l.dir, "lock")
	made := l.h.missing(path)
	for _, dir := range made {
		if err := os.Mkdir(l.h.real(dir), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return false, err
		}
	}
	f, err := os.OpenFile(l.h.real(path), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return errors.Is(err, os.ErrNotExist), ignoreNotExist(err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		l.h.Waiting()
		for {
			if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
	if err != nil {
		f.Close()
		return false, err
	}
	var mine, there unix.Stat_t
	if unix.Fstat(int(f.Fd()), &mine) != nil || unix.Stat(l.h.real(path), &there) != nil || mine.Ino != there.Ino || mine.Dev != there.Dev {
		f.Close()
		return true, nil
	}
	l.f = f
	text, err := os.ReadFile(l.h.real(path))
	if err != nil {
		f.Close()
		return false, err
	}
	l.made = strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
	if len(made) > 0 {
		l.made = made
		if _, err := f.WriteString(strings.Join(made, "\n") + "\n"); err != nil {
			f.Close()
			return false, err
		}
	}
	return false, nil
}

func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// release gives the lock up, and leaves nothing when there are no records.
func (l *lock) release() {
	defer l.f.Close()
	records, err := l.h.dropIns(l.dir, ".json")
	if err != nil || len(records) > 0 {
		return
	}
	if left, err := l.h.dropIns(l.dir, ".timensctl"); err == nil { // by a power cut
		for _, p := range left {
			_ = os.Remove(l.h.real(p))
		}
	}
	_ = os.Remove(l.h.real(filepath.Join(l.dir, "lock")))
	for i := len(l.made) - 1; i >= 0; i-- {
		_ = unix.Rmdir(l.h.real(l.made[i]))
	}
}
