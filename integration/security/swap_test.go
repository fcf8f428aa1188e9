package security

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
)

var swaps = flag.Int("swaps", 500, "how often the shim is started while its files are swapped")

const (
	asking = `{"annotations":{"io.timens.boottime":"=0"},"linux":{"namespaces":[{"type":"pid"}]}}`
	plain  = `{"annotations":{"other":"x"},"linux":{"namespaces":[{"type":"pid"}]}}`
)

// swapper exchanges two names again and again, as somebody does who may write to a
// bundle's folder and waits for the moment between a look at a file and its use.
func swapper(t *testing.T, a, b string) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
					t.Errorf("exchange %s: %v", a, err)
					return
				}
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// TestSwappedConfig swaps config.json while the shim reads and replaces it: with a link to
// a file elsewhere, a FIFO, a folder, another file. Nothing elsewhere is written to, the
// shim never hangs, and nothing is left beside the file.
func TestSwappedConfig(t *testing.T) {
	requireRoot(t)
	for name, other := range map[string]func(path, victim string) error{
		"a link":       func(path, victim string) error { return os.Symlink(victim, path) },
		"a hard link":  func(path, victim string) error { return os.Link(victim, path) },
		"a FIFO":       func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
		"a folder":     func(path, _ string) error { return os.Mkdir(path, 0o755) },
		"another file": func(path, _ string) error { return os.WriteFile(path, []byte(plain), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			victim := newVictim(t, dir)
			bundle := filepath.Join(dir, "bundle")
			config, spare := filepath.Join(bundle, "config.json"), filepath.Join(dir, "spare")
			err := errors.Join(os.Mkdir(bundle, 0o755), os.WriteFile(config, []byte(asking), 0o644), other(spare, victim.path))
			if err != nil {
				t.Fatal(err)
			}
			stop := swapper(t, config, spare)
			ends := victim.attack(t, bundle)
			stop()
			t.Logf("%v", ends)
			if entries, err := os.ReadDir(bundle); err != nil || len(entries) != 1 {
				t.Errorf("the bundle holds %v, %v", entries, err)
			}
		})
	}
}

// TestSwappedBundle swaps the bundle: what is read from one is written to no other.
func TestSwappedBundle(t *testing.T) {
	requireRoot(t)
	dir := t.TempDir()
	victim := newVictim(t, dir)
	link, spare := filepath.Join(dir, "bundle"), filepath.Join(dir, "spare")
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	err := errors.Join(os.Mkdir(one, 0o755), os.Mkdir(two, 0o755), os.Symlink("one", link), os.Symlink("two", spare),
		os.WriteFile(filepath.Join(one, "config.json"), []byte(asking), 0o644),
		os.WriteFile(filepath.Join(two, "config.json"), []byte(plain), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	stop := swapper(t, link, spare)
	t.Logf("%v", victim.attack(t, link))
	stop()
	for path, want := range map[string]string{one: `"=0"`, two: `"x"`} {
		text, err := os.ReadFile(filepath.Join(path, "config.json"))
		if err != nil || !bytes.Contains(text, []byte(want)) || path == two && string(text) != plain {
			t.Errorf("%s holds %s, %v", path, text, err)
		}
		if entries, err := os.ReadDir(path); err != nil || len(entries) != 1 {
			t.Errorf("%s holds %v, %v", path, entries, err)
		}
	}
}

// victim is a file that has nothing to do with the bundle, and asks for clocks.
type victim struct {
	path, toml string
	before     unix.Stat_t
}

func newVictim(t *testing.T, dir string) *victim {
	t.Helper()
	v := &victim{path: filepath.Join(dir, "victim.json"), toml: filepath.Join(dir, "config.toml")}
	err := errors.Join(os.WriteFile(v.path, []byte(asking), 0o600), os.Chown(v.path, 4242, 4242),
		os.WriteFile(v.toml, fmt.Appendf(nil, "runtimes = [%q]\n", machine.Program(t, "noop")), 0o644), unix.Lstat(v.path, &v.before))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// attack starts the shim in a bundle, and counts how that ends.
func (v *victim) attack(t *testing.T, bundle string) map[string]int {
	t.Helper()
	shim := machine.Programs(t).Shim
	ends := map[string]int{}
	for range *swaps {
		cmd := exec.Command("timeout", "20", shim, "create", "--bundle", bundle, "id")
		cmd.Env = append(os.Environ(), "TIMENS_CONFIG="+v.toml)
		out, err := cmd.CombinedOutput()
		end := "edited, or nothing asked"
		if err != nil {
			_, end, _ = strings.Cut(strings.TrimSpace(string(out)), "config.json: ")
		}
		if ends[end]++; cmd.ProcessState.ExitCode() > 1 {
			t.Fatalf("%v: %s", err, out)
		}
	}
	text, err := os.ReadFile(v.path)
	var now unix.Stat_t
	if e := unix.Lstat(v.path, &now); err != nil || e != nil || string(text) != asking ||
		now.Ino != v.before.Ino || now.Mode != v.before.Mode || now.Uid != v.before.Uid || now.Mtim != v.before.Mtim {
		t.Errorf("the other file is now %+v, %s, %v, %v", now, text, err, e)
	}
	return ends
}
