package lowlevel

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCompanion(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"a": 0o644, "b": 0o755} { // a's is not executable
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "timens-hook"), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got := companionIn([]string{dir + "/no", dir + "/a", dir + "/b"}, "timens-hook"); got != dir+"/b/timens-hook" {
		t.Errorf("found %q", got)
	}
	if got := companionIn([]string{dir + "/a"}, "timens-hook"); got != "" {
		t.Errorf("found %q", got)
	}
}

func TestInstalledWith(t *testing.T) {
	for dir, want := range map[string]string{
		"/usr/local/bin":                 "/usr/local/libexec/oci/hooks.d",
		"/usr/local/libexec/oci/hooks.d": "/usr/local/bin",
		"/bin":                           "/libexec/oci/hooks.d",
		"/srv/timens":                    "",
	} {
		got := append(installedWith(dir), "")
		if got[0] != dir || got[1] != want {
			t.Errorf("%s: %q", dir, got)
		}
	}
}
