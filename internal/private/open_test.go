package private

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oci-timens/internal/testenv"
)

// TestOpen has the folder be what somebody else can have put there.
func TestOpen(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Lacks(t, "root", "folders belong to other users here")
	}
	for name, tt := range map[string]struct {
		make func(path string) error
		want string // after the path; "" for none
	}{
		"ours":                                  {func(p string) error { return os.Mkdir(p, 0o700) }, ""},
		"for all to read":                       {func(p string) error { return os.Mkdir(p, 0o755) }, ""},
		"for a group":                           {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o770)) }, " can be written to by others"},
		"another's":                             {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chown(p, 4242, 0)) }, " can be written to by others, or belongs to another user than 0"},
		"a link to ours":                        {func(p string) error { return errors.Join(os.Mkdir(p+"2", 0o700), os.Symlink(p+"2", p)) }, " is a symbolic link, or was replaced meanwhile: put the folder itself there"},
		"a link to /etc":                        {func(p string) error { return os.Symlink("/etc", p) }, " is a symbolic link"},
		"a link to what everybody can write to": {func(p string) error { return os.Symlink("/tmp", p) }, " can be written to by others"},
		"a file":                                {func(p string) error { return os.WriteFile(p, nil, 0o600) }, ": not a directory"},
		"not there":                             {func(string) error { return nil }, ": no such file or directory"},
		"a link to nothing":                     {func(p string) error { return os.Symlink(p+"2", p) }, ": no such file or directory"},
		"below a link": {func(p string) error {
			d := filepath.Dir(p)
			return errors.Join(os.Mkdir(d+"/else", 0o700), os.Mkdir(d+"/else/x", 0o700), os.Remove(d+"/in"), os.Symlink("else", d+"/in"))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			if name == "below a link" {
				if err := os.Mkdir(filepath.Join(filepath.Dir(path), "in"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			if name == "below a link" {
				path = filepath.Join(filepath.Dir(path), "in", "x")
			}
			root, err := Open(path)
			if root != nil {
				root.Close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), path+tt.want)) {
				t.Errorf("%v, want %s%s", err, path, tt.want)
			}
		})
	}
}
