package install

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Below the prefix:
//
//	versions/VERSION-DIGEST/timens-hook …   one folder for each set of programs
//	current -> versions/VERSION-DIGEST      what engines call goes through this
//	lock, restart-pending
//
// An engine that calls current/timens-runc gets all programs of one version: which
// others a program of ours calls is decided by the folder that it really is in.
const (
	versionsDir = "versions"
	currentLink = "current"
	lockFile    = "lock"
	pendingFile = "restart-pending"
)

// keepReplaced is how long a version stays after it was replaced: a container that
// is being started has the paths of its programs in its config.json.
const keepReplaced = time.Hour

// set is the contents of the programs, by name.
type set map[string][]byte

func readPrograms(dir string) (set, error) {
	s := set{}
	for _, name := range Programs {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("the image lacks a program: %w", err)
		}
		s[name] = data
	}
	return s, nil
}

// name is the folder of a set of programs. Versions that were never released can
// have one name and differ.
func (s set) name(version string) string {
	h := sha256.New()
	for _, name := range Programs {
		fmt.Fprintf(h, "%s %d\n", name, len(s[name]))
		h.Write(s[name])
	}
	clean := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '.' || r == '-' || r == '+' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return r
		}
		return '_'
	}, version)
	return fmt.Sprintf("%s-%x", clean, h.Sum(nil)[:6])
}

func (o *Options) installPrograms(s set) error {
	prefix := o.at(o.Prefix)
	target := filepath.Join(versionsDir, s.name(o.Version))
	dir := filepath.Join(prefix, target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range Programs {
		if err := replace(filepath.Join(dir, name), s[name], 0o755); err != nil {
			return err
		}
	}
	link := filepath.Join(prefix, currentLink)
	old, err := os.Readlink(link)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not what timens-install has put there: %w", filepath.Join(o.Prefix, currentLink), err)
	}
	if old != target {
		if old != "" {
			now := time.Now()
			_ = os.Chtimes(filepath.Join(prefix, old), now, now) // from when on it is not used
		}
		if err := replaceLink(link, target); err != nil {
			return err
		}
		o.say("installed %s", filepath.Join(o.Prefix, target))
	} else {
		o.say("%s is installed already", filepath.Join(o.Prefix, target))
	}
	return o.removeOld(target)
}

// removeOld removes versions that were replaced some time ago.
func (o *Options) removeOld(current string) error {
	entries, err := os.ReadDir(filepath.Join(o.at(o.Prefix), versionsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(versionsDir, e.Name())
		info, err := e.Info()
		if name == current || err != nil || time.Since(info.ModTime()) < keepReplaced {
			continue
		}
		if err := os.RemoveAll(filepath.Join(o.at(o.Prefix), name)); err != nil {
			return err
		}
		o.say("removed %s", filepath.Join(o.Prefix, name))
	}
	return nil
}

// removePrograms empties the prefix, and removes it where it is not a mount.
func (o *Options) removePrograms() error {
	prefix := o.at(o.Prefix)
	// The link first: nobody is to find half of a version.
	for _, name := range []string{currentLink, versionsDir, pendingFile, lockFile} {
		if err := os.RemoveAll(filepath.Join(prefix, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(prefix); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EBUSY) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o.say("removed %s", o.Prefix)
	return nil
}

// lock lets one installer work at a time. The returned file holds it.
func (o *Options) lock() (*os.File, error) {
	dir := o.at(o.Prefix)
	path := filepath.Join(dir, lockFile)
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the holder before us has removed the folder
		}
		if err != nil {
			return nil, err
		}
		for {
			if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		mine, err := f.Stat()
		if there, e := os.Stat(path); err == nil && e == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close() // the holder before us has removed the file
	}
}
