package config

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"oci-timens/internal/testenv"
)

func TestLoadFileTrusts(t *testing.T) {
	const other = 12345
	refused := func(what, path, why string) string { return what + " " + strconv.Quote(path) + " " + why }
	const file, dir, mode = "configuration file", "configuration directory", ", so that others than its owner could change it: chmod go-w it"
	const owner = "belongs to user 12345, who could change it: chown it to root"
	for name, tt := range map[string]struct {
		change func(d string) error
		want   func(d string) string // nil for none
	}{
		"file of a group": {func(d string) error { return os.Chmod(d+"/config.toml", 0o664) },
			func(d string) string { return refused(file, d+"/config.toml", "has mode 0664"+mode) }},
		"file of everybody": {func(d string) error { return os.Chmod(d+"/config.toml", 0o606) },
			func(d string) string { return refused(file, d+"/config.toml", "has mode 0606"+mode) }},
		"file of another": {func(d string) error { return os.Chown(d+"/config.toml", other, 0) },
			func(d string) string { return refused(file, d+"/config.toml", owner) }},
		"directory of a group": {func(d string) error { return os.Chmod(d, 0o775) },
			func(d string) string { return refused(dir, d, "has mode 0775"+mode) }},
		"directory of another": {func(d string) error { return os.Chown(d, other, 0) },
			func(d string) string { return refused(dir, d, owner) }},
		"sticky directory": {func(d string) error { return os.Chmod(d, 0o777|os.ModeSticky) }, nil},
		"drop-in of a group": {func(d string) error { return os.Chmod(d+"/config.d/a.toml", 0o620) },
			func(d string) string { return refused(file, d+"/config.d/a.toml", "has mode 0620"+mode) }},
		"drop-ins of a group": {func(d string) error { return os.Chmod(d+"/config.d", 0o770) },
			func(d string) string { return refused(dir, d+"/config.d", "has mode 0770"+mode) }},
		"around drop-ins alone": {func(d string) error { return errors.Join(os.Remove(d+"/config.toml"), os.Chmod(d, 0o775)) },
			func(d string) string { return refused(dir, d, "has mode 0775"+mode) }},
		"a link out of here": {func(d string) error {
			return errors.Join(os.Mkdir(d+"/else", 0o777), os.Chmod(d+"/else", 0o777),
				os.Rename(d+"/config.toml", d+"/else/c"), os.Symlink("else/c", d+"/config.toml"))
		}, func(d string) string { return refused(dir, d+"/else", "has mode 0777"+mode) }},
		"a good link": {func(d string) error {
			return errors.Join(os.Rename(d+"/config.toml", d+"/c"), os.Symlink("c", d+"/config.toml"))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := write(t, map[string]string{"config.toml": "", "config.d/a.toml": ""})
			d := filepath.Dir(p)
			if err := errors.Join(os.Chmod(d, 0o755), tt.change(d)); errors.Is(err, os.ErrPermission) {
				testenv.Lacks(t, "root", err)
			} else if err != nil {
				t.Fatal(err)
			}
			want := ""
			if tt.want != nil {
				want = tt.want(d)
			}
			if _, err := LoadFile(p); err == nil && want != "" || err != nil && err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestTrustedOwner(t *testing.T) {
	const initial, rootless = "         0          0 4294967295\n", "         0       1000          1\n         1     100000      65536\n"
	for _, tt := range []struct {
		owner, euid int
		uidMap      string
		want        bool
	}{
		{0, 0, initial, true}, {0, 1000, initial, true}, {1000, 1000, initial, true},
		{1000, 0, initial, false}, {1001, 1000, initial, false}, {65534, 0, initial, false},
		{65534, 0, rootless, true}, {1, 0, rootless, false},
	} {
		if got := trustedOwner(tt.owner, tt.euid, func() string { return tt.uidMap }); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
