package lowlevel

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCacheIsNoLink has the folder of another user's $XDG_RUNTIME_DIR lead to one of ours.
func TestCacheIsNoLink(t *testing.T) {
	ours, link := t.TempDir(), filepath.Join(t.TempDir(), "oci-timens")
	if err := os.Symlink(ours, link); err != nil {
		t.Fatal(err)
	}
	ask := func(string) (string, string, error) { return "runc", "1.5.2", nil }
	if _, err := identify("/proc/self/exe", []string{link}, ask); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(ours); err != nil || len(left) > 0 {
		t.Errorf("wrote %v, %v", left, err)
	}
}
