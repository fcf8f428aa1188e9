package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestUserNamespace(t *testing.T) {
	eachStack(t, "user namespace", func(t *testing.T, s stack) {
		require(t, "userns", missing("/proc/self/ns/user"))
		c := newContainer(t, s, "hold")
		mapUsers(c.spec, subIDs, subCount)
		ask(c, askMonotonic, askBoottime)
		asked.check(t, c.created, c.start())
		if uid := statusField(t, c.pid, "Uid"); !strings.HasPrefix(uid, fmt.Sprint(subIDs)) {
			t.Errorf("runs as %q, want the first of the mapped users %d", uid, subIDs)
		}
		c.checkExec(asked)
		c.stop()
	})
}

// TestHostPID keeps a container in the host's PID namespace there: crun's own
// support of time namespaces moves it to a new one.
func TestHostPID(t *testing.T) {
	eachStack(t, "no new PID namespace", func(t *testing.T, s stack) {
		c := newContainer(t, s, "hold")
		dropNamespace(c.spec, specs.PIDNamespace)
		ask(c, askMonotonic, askBoottime)
		seen := c.start()
		asked.check(t, c.created, seen)
		if seen.inside.PIDNamespace != seen.before.PIDNamespace || seen.inside.PID != c.pid {
			t.Errorf("PID %d in %s, want %d in the host's %s", seen.inside.PID, seen.inside.PIDNamespace, c.pid, seen.before.PIDNamespace)
		}
		c.checkExec(asked)
		c.stop()
	})
}

// TestTimeEntry has an engine ask for a time namespace without offsets, as Docker
// does since 29.5.
func TestTimeEntry(t *testing.T) {
	eachStack(t, timeEntry, func(t *testing.T, s stack) {
		c := newContainer(t, s, "hold")
		c.spec.Linux.Namespaces = append(c.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		ask(c, askMonotonic, askBoottime)
		// Both fail by themselves, whatever is asked: one knows no time namespaces,
		// the other loses its init in a new PID namespace.
		if s.runtime.key == "runc-1.1.5" || s.runtime.isCrun() {
			if r := c.create(); r.exit == 0 {
				t.Error("this runtime was expected to fail")
			}
			limit(t, "the runtime itself fails")
			return
		}
		asked.check(t, c.created, c.start())
		c.checkExec(asked)
		c.stop()
	})
}

// TestRootless runs the runtime as a user without privileges: once with nobody but
// itself mapped, once with the range of IDs that /etc/subuid gives it.
func TestRootless(t *testing.T) {
	for _, mapping := range []string{"one user", "subuid"} {
		t.Run(mapping, func(t *testing.T) {
			eachStack(t, "rootless", func(t *testing.T, s stack) {
				require(t, "userns", missing("/proc/self/ns/user"))
				if mapping == "subuid" {
					require(t, "rootless", missing("/usr/bin/newuidmap")) // package uidmap
				}
				c := newContainer(t, s, "hold")
				c.uid = plainUser
				mapUsers(c.spec, plainUser, 1)
				if mapping == "subuid" {
					more := specs.LinuxIDMapping{ContainerID: 1, HostID: subIDs, Size: subCount}
					c.spec.Linux.UIDMappings = append(c.spec.Linux.UIDMappings, more)
					c.spec.Linux.GIDMappings = append(c.spec.Linux.GIDMappings, more)
				}
				c.spec.Linux.CgroupsPath = ""
				ask(c, askMonotonic, askBoottime)
				asked.check(t, c.created, c.start())
				c.checkExec(asked)
				c.stop()
			})
		})
	}
}

// statusField reads a line of /proc/PID/status.
func statusField(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("/proc/%d/status has no %s", pid, name)
	return ""
}
