package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
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
		// the other loses its init in a new PID namespace. The shim spares them this.
		if s.mechanism == "hook" && (s.runtime.knowsNone() || s.runtime.isCrun()) {
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
				if s.runtime.isCrun() {
					// Its init, not dumpable, belongs to the initial user namespace.
					if r := c.create(); r.exit == 0 || !strings.Contains(c.log(), "start crun in one, as podman does, or as root") {
						t.Errorf("exit %d, log %s", r.exit, c.log())
					}
					limit(t, "refused")
					return
				}
				asked.check(t, c.created, c.start())
				c.checkExec(asked)
				c.stop()
			})
		})
	}
}

// TestRootlessEngine runs the runtime as a rootless podman does: as root of a user
// namespace that the engine has made.
func TestRootlessEngine(t *testing.T) {
	eachStack(t, rootlessEngine, func(t *testing.T, s stack) {
		require(t, "userns", missing("/proc/self/ns/user"))
		c := newContainer(t, s, "hold")
		c.uid = plainUser
		c.holder = holdUserNamespace(t)
		c.spec.Linux.CgroupsPath = ""
		ask(c, askMonotonic, askBoottime)
		asked.check(t, c.created, c.start())
		c.checkExec(asked)
		c.stop()
	})
}

// holdUserNamespace keeps a user namespace of plainUser, in which it is root, with
// a mount namespace. It returns the PID of a process there.
func holdUserNamespace(t *testing.T) int {
	t.Helper()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: plainUser, Size: 1}, {ContainerID: 1, HostID: subIDs, Size: subCount}}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: ids, GidMappings: ids}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd.Process.Pid
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
