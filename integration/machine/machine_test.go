package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestMachine(t *testing.T) {
	var pid int
	var groups []cgroup
	t.Run("alive", func(t *testing.T) {
		m := New(t, "/")
		pid, groups = m.PID(), m.cgroups
		before := m.Snapshot("/etc")
		m.Run("sh", "-c", "echo changed >/etc/hostname; sleep 1000 >/dev/null 2>&1 &")
		changes := strings.Join(m.Snapshot("/etc").Changes(before), "\n")
		if !strings.Contains(changes, "! /etc/hostname") || strings.Contains(changes, "\n") {
			t.Errorf("changes: %s", changes)
		}
		if got := m.Run("sh", "-c", "readlink /proc/self/ns/cgroup; grep -c . /proc/self/cgroup; ls /sys/fs/cgroup; hostname"); !strings.HasSuffix(got, "machine") {
			t.Errorf("inside: %s", got)
		}
		if got := m.Run("sh", "-c", "cut -d: -f3 /proc/self/cgroup | sort -u"); got != "/" && got != "/machine" {
			t.Errorf("cgroups inside: %q", got)
		}
		m.Install()
		m.Run("timensctl", "version")
		d := m.Start("sleep", "1000")
		d.Await(func() error { return nil })
		d.Stop()
		if out := m.Fail("sh", "-c", "echo why >&2; exit 3"); out != "why\n" {
			t.Errorf("wrote %q", out)
		}
	})
	if text, err := os.ReadFile("/etc/hostname"); err == nil && string(text) == "changed\n" {
		t.Error("the machine below was written to")
	}
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err == nil {
		t.Error("its first process is still there")
	}
	for _, c := range groups {
		if _, err := os.Stat(c.Dir); err == nil {
			t.Errorf("cgroup %s is left", c.Dir)
		}
	}
}
