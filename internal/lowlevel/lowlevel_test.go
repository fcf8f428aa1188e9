package lowlevel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// program writes an executable shell script.
func program(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	// In a, runc is this very program, as when the shim is installed so.
	if err := os.MkdirAll(filepath.Join(a, "crun"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(a, "runc")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a, "youki"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for name, last := range map[string]byte{"copy": text[len(text)-1], "other": text[len(text)-1] + 1} {
		text[len(text)-1] = last
		if err := os.WriteFile(filepath.Join(a, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	runc, crun := program(t, filepath.Join(b, "runc"), ""), program(t, filepath.Join(b, "crun"), "")
	t.Setenv("PATH", "relative::"+a+":"+b)
	t.Chdir(b) // where the relative entries would find something

	tests := []struct {
		name       string
		candidates []string
		want       string
	}{
		{"the one behind ourselves", []string{"runc", "crun"}, runc},
		{"no directory", []string{"crun"}, crun},
		{"not executable", []string{"youki", "runc"}, runc},
		{"absolute", []string{"/no/such", crun, runc}, crun},
		{"a copy of ourselves", []string{"copy", "crun"}, crun},
		{"another of our size", []string{"other", "crun"}, filepath.Join(a, "other")},
		{"ourselves, absolute", []string{self, "crun"}, crun},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Find(tt.candidates); got != tt.want || err != nil {
				t.Errorf("Find(%q) = %q, %v; want %q", tt.candidates, got, err, tt.want)
			}
		})
	}

	// What cannot be looked at may be there, but nobody waits for it.
	if got, err := Find([]string{"/\x00", crun}); got != crun || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Find([]string{"/\x00"}); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), `the low-level runtime "/\x00": whether it is there cannot be told: stat`) {
		t.Error(err)
	}

	_, err = Find([]string{"youki", self})
	want := fmt.Sprintf(`no low-level runtime found: looked for "youki", %q in PATH=%q; install one, or name it by the key runtimes of the configuration file`,
		self, os.Getenv("PATH"))
	if err == nil || err.Error() != want {
		t.Errorf("got error %v\nwant %s", err, want)
	}
}

func TestFindWithoutPath(t *testing.T) {
	t.Setenv("PATH", "")
	os.Unsetenv("PATH") // restored by Setenv's cleanup
	if got, err := Find([]string{"sh"}); err != nil || filepath.Base(got) != "sh" {
		t.Errorf("Find(sh) = %q, %v", got, err)
	}
}

func TestIdentifyAnswers(t *testing.T) {
	tests := []struct {
		script        string
		name, version string
	}{
		{"echo 'runc version 1.1.5+ds1'; echo 'commit: x'", "runc", "1.1.5+ds1"},
		{"echo 'youki version: 0.7.0'", "youki", "0.7.0"},
		{"echo 'kata-runtime  : 3.2.0'", "prog", ""},
		{"exit 0", "prog", ""},
	}
	for _, tt := range tests {
		p := program(t, filepath.Join(t.TempDir(), "prog"), tt.script)
		got, err := identify(p, nil, ask)
		if err != nil {
			t.Errorf("%s: %v", tt.script, err)
		}
		if d := cmp.Diff(Runtime{p, tt.name, tt.version}, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", tt.script, d)
		}
	}
}

func TestIdentifyErrors(t *testing.T) {
	dir := t.TempDir()
	fails := program(t, filepath.Join(dir, "fails"), "echo no way >&2; exit 3")
	for path, want := range map[string]string{
		fails:       "low-level runtime: " + fails + ` --version: exit status 3: "no way"`,
		dir + "/no": "low-level runtime: stat " + dir + "/no: no such file or directory",
	} {
		if _, err := identify(path, nil, ask); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestIdentifyCache(t *testing.T) {
	dir := t.TempDir()
	p, cacheDir := filepath.Join(dir, "runc"), filepath.Join(dir, "cache")
	version, calls := "1", 0
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("\x7fELF, version 1")
	check := func(step string, wantCalls int) {
		t.Helper()
		got, err := identify(p, []string{filepath.Join(dir, "no", "parent"), cacheDir}, func(string) (string, string, error) {
			calls++
			return "runc", version, nil
		})
		if err != nil || got != (Runtime{p, "runc", version}) {
			t.Errorf("%s: got %+v, %v", step, got, err)
		}
		if calls != wantCalls {
			t.Errorf("%s: asked %d times so far, want %d", step, calls, wantCalls)
		}
	}
	entry := func() string {
		t.Helper()
		e, err := os.ReadDir(cacheDir)
		if err != nil || len(e) != 1 {
			t.Fatalf("cache holds %v, %v; want one file", e, err)
		}
		return filepath.Join(cacheDir, e[0].Name())
	}
	check("first", 1)
	check("cached", 1)
	version = "2"
	write("\x7fELF, version 2.0")
	check("program written to", 2)
	if err := os.WriteFile(entry(), []byte("oci-timens 1 "), 0o600); err != nil {
		t.Fatal(err)
	}
	check("broken file", 3)
	check("repaired", 3)
	if err := os.Chmod(entry(), 0o666); err != nil {
		t.Fatal(err)
	}
	if all := known([]string{cacheDir}); len(all) > 0 {
		t.Errorf("known is %+v", all)
	}
	check("file of doubtful origin", 4)
	check("replaced", 4)
	if all := known([]string{cacheDir}); !slices.Equal(all, []Runtime{{Name: "runc", Version: "2"}}) {
		t.Errorf("known is %+v", all)
	}
	if err := os.Chmod(cacheDir, 0o777); err != nil {
		t.Fatal(err)
	}
	check("directory of doubtful origin", 5)
	check("and still", 6)
	if err := os.Chmod(cacheDir, 0o700); err != nil {
		t.Fatal(err)
	}
	write("#!/bin/sh")
	check("a script", 7)
	check("and again", 8)
}
