package machine

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Files is what a snapshot holds of each file: its kind, mode, owner, and
// contents or target.
type Files map[string]string

// Snapshot records all files at and below the paths. A path without a file is
// left out.
func (m *Machine) Snapshot(paths ...string) Files {
	m.t.Helper()
	files := Files{}
	root := m.Path("/")
	for _, path := range paths {
		err := filepath.WalkDir(m.Path(path), func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			inside := filepath.Join("/", strings.TrimPrefix(name, root))
			files[inside], err = describe(name, d)
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			m.t.Fatal(err)
		}
	}
	return files
}

func describe(name string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return "", err
	}
	text := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
	switch {
	case info.Mode().IsRegular():
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(" %d bytes %x", len(content), sha256.Sum256(content))
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(name)
		if err != nil {
			return "", err
		}
		text += " -> " + to
	}
	return text, nil
}

// Same checks that nothing differs from an earlier snapshot of the same paths.
func (f Files) Same(t testing.TB, before Files) {
	t.Helper()
	if d := f.Changes(before); len(d) > 0 {
		t.Errorf("files differ from before:\n%s", strings.Join(d, "\n"))
	}
}

// Changes lists, sorted, what differs from an earlier snapshot of the same paths.
func (f Files) Changes(before Files) (changes []string) {
	all := maps.Clone(before)
	maps.Copy(all, f)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		now, is := f[name]
		then, was := before[name]
		switch {
		case !is:
			changes = append(changes, "- "+name)
		case !was:
			changes = append(changes, "+ "+name)
		case now != then:
			changes = append(changes, fmt.Sprintf("! %s: %s, was %s", name, now, then))
		}
	}
	return changes
}
