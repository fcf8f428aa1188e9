package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

func TestMain(m *testing.M) { os.Exit(machine.Main(m)) }

// TestGuest starts one with a tree and one without.
func TestGuest(t *testing.T) {
	var dir string
	var pid int
	t.Run("alive", func(t *testing.T) {
		tree := machine.Tool(t, "guest12-1")
		g := New(t, Config{Tree: tree})
		dir, pid = g.dir, g.qemu.Process.Pid
		if version := g.Run("uname", "-r"); filepath.Base(g.Kernel.Modules) != version {
			t.Errorf("Linux %s with the modules of %s", version, g.Kernel.Modules)
		}
		if out := g.Fail("sh", "-c", "echo why >&2; exit 3"); out != "why\n" {
			t.Errorf("it wrote %q", out)
		}
		g.Run("sh", "-c", "sleep 1000 & echo changed >/etc/hostname")
		if text, err := os.ReadFile(filepath.Join(tree, "etc/hostname")); err == nil && string(text) == "changed\n" {
			t.Error("the tree was written to")
		}
		before, from := g.Run("cut", "-d.", "-f1", "/proc/uptime"), time.Now()
		g.Install()
		g.Run("timensctl", "version")
		after, took := g.Run("cut", "-d.", "-f1", "/proc/uptime"), time.Since(from)
		if d := seconds(t, after) - seconds(t, before); (d - took).Abs() > 1500*time.Millisecond {
			t.Errorf("its clock went on by %v in %v", d, took)
		}

		bare := New(t, Config{Kernel: KernelOf(t, tree)})
		bare.Copy(machine.Programs(t).Probe, "/probe", 0o755)
		if r := machine.Report(t, bare.Run("/probe")); r.PID == 0 {
			t.Errorf("%+v", r)
		}
		g.Write("/run/a/b", "x", 0o600)
		g.Send(g, "/run/a")
		if got := g.Run("stat", "-c", "%a %s", "/run/a/b"); got != "600 1" {
			t.Errorf("sent: %s", got)
		}
	})
	if _, err := os.Stat(dir); dir != "" && err == nil {
		t.Errorf("%s is left", dir)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); pid != 0 && err == nil {
		t.Error("QEMU is left")
	}
}

func seconds(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}
