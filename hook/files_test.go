package hook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStartsWithNothingOpen has an engine leave a file open for the hook, which asks the
// low-level runtime for its version.
func TestStartsWithNothingOpen(t *testing.T) {
	dir := t.TempDir()
	seen, runc := filepath.Join(dir, "seen"), filepath.Join(dir, "runc")
	write(t, filepath.Join(dir, "config.toml"), "runtimes = [\""+runc+"\"]\n")
	if err := os.WriteFile(runc, []byte("#!/bin/sh\nls -l /proc/$$/fd >"+seen+"\necho runc version 1.5.2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TIMENS_CONFIG", filepath.Join(dir, "config.toml"))
	leak, err := unix.Open(filepath.Join(dir, "of-the-engine"), unix.O_RDWR|unix.O_CREAT, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	if status, _, errs := callPrecreate(asksForAnHour); status != 0 {
		t.Fatal(errs)
	}
	open, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(open), " 0 -> /dev/null") || strings.Contains(string(open), "of-the-engine") {
		t.Errorf("%v: the runtime has open\n%s", err, open)
	}
}
