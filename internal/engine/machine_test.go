package engine

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"oci-timens/internal/plan"
)

// machine makes a root directory and what is in it.
func (c testCase) machine(t *testing.T) *Host {
	t.Helper()
	root, err := os.MkdirTemp(shm(t), "oci-timens-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	h := &Host{Root: root, UID: os.Geteuid(), Home: "/home/u", ConfigHome: "/home/u/.config", StateHome: "/home/u/.local/state",
		Ask:       func(string) string { return c.version },
		Installed: func(program string) string { return "/usr/bin/" + program },
		LowLevel: func(name string) (plan.Runtime, error) {
			if name == "crun" {
				return plan.Runtime{}, errors.New("no crun here")
			}
			return plan.Runtime{Name: "runc", Version: c.runc}, nil
		},
		Kernel:  plan.Kernel{ExecSwitch: c.kernel},
		Waiting: func() {},
	}
	if c.runc == "" {
		c.runc = "1.5.2"
	}
	if c.options.Rootless {
		h.UID = 1000
	}
	for _, dir := range []string{"/etc", "/var/lib", "/home/u", "/usr/bin", "/srv"} {
		if err := os.MkdirAll(h.real(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.put(t, "/usr/bin/timens-hook", "", 0o755)
	h.put(t, "/usr/bin/timens-runc", "", 0o755)
	for name, text := range c.files {
		h.put(t, name, text, 0o640)
	}
	return h
}

// shm is in memory, where it costs nothing to wait for the disk.
func shm(t *testing.T) string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return t.TempDir()
}

func (h *Host) put(t *testing.T, name, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(h.real(filepath.Dir(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.real(name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.real(name), mode); err != nil {
		t.Fatal(err)
	}
}

// give makes a directory another user's.
func (h *Host) give(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	if err := os.Chown(h.real(dir), 4321, 4321); err != nil {
		t.Fatal(err)
	}
}

func (h *Host) text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(h.real(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// snapshot is all that there is, with modes.
func (h *Host) snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(h.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(data)
		}
		all[h.within(path)] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// valid checks what an engine would read.
func (h *Host) valid(t *testing.T) {
	t.Helper()
	for name, text := range h.snapshot(t) {
		_, text, _ = strings.Cut(text, " ")
		var m map[string]any
		var err error
		switch ext := filepath.Ext(name); {
		case strings.HasPrefix(name, "/var/lib") || strings.Contains(name, ".local/state"):
			continue
		case ext == ".json" && text != "":
			err = json.Unmarshal([]byte(text), &m)
		case ext == ".conf" || ext == ".toml" || strings.Contains(name, crioDropIns):
			err = toml.Unmarshal([]byte(text), &m)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		if hook, ok := m["hook"].(map[string]any); ok {
			if _, err := os.Stat(h.real(hook["path"].(string))); err != nil {
				t.Error(err)
			}
		}
	}
}

func configure(t *testing.T, h *Host, o Options) *Result {
	t.Helper()
	r, err := Configure(h, o)
	if err != nil {
		t.Fatalf("configure %+v: %v", o, err)
	}
	return r
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}
