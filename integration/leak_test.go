package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/integration/apart"
)

// processes lists the PIDs there are; all belong to the tests.
func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		panic(err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// checkGone fails the test for everything that outlived the container: a process,
// a mount, a file, a cgroup.
func (c *container) checkGone() {
	c.t.Helper()
	mark := "/" + c.id + "/" // in paths, whatever the folder is called inside its file system
	for _, pid := range processes() {
		proc := fmt.Sprintf("/proc/%d/", pid)
		if pid != os.Getpid() {
			for _, name := range []string{"environ", "cmdline", "mountinfo"} {
				text, _ := os.ReadFile(proc + name) // a process may end meanwhile
				if bytes.Contains(text, []byte(c.id+"\x00")) || bytes.Contains(text, []byte(mark)) {
					c.t.Errorf("process %d is left: its %s names the container", pid, name)
				}
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		c.t.Fatal(err)
	}
	if strings.Contains(string(mounts), mark) {
		c.t.Errorf("a mount is left below %s:\n%s", c.dir, mounts)
	}
	if got := listing(c.t, c.root()); got != "" {
		c.t.Errorf("the runtime keeps %q", got)
	}
	if got := listing(c.t, c.bundle()); got != "config.json rootfs" {
		c.t.Errorf("the bundle holds %q", got)
	}
	if left := cgroupsOf("/" + c.id); len(left) > 0 {
		c.t.Errorf("cgroups are left: %q", left)
	}
}

// timeHandles lists everything in /proc that keeps a time namespace alive, other
// than the machine's own. Numbers of namespaces are used again, so that only a test
// that runs alone can tell what it sees.
func timeHandles(t *testing.T) (handles []string) {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"ns/time", "ns/time_for_children", "fd/*"} {
		links, err := filepath.Glob("/proc/[0-9]*/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			to, _ := os.Readlink(link) // a process may end meanwhile
			if strings.HasPrefix(to, "time:") && to != own {
				handles = append(handles, link+" -> "+to)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "time:[") {
			handles = append(handles, line)
		}
	}
	return handles
}

// TestNoHandles runs alone: after a container has ended, was refused, or lost its
// hook half way, nothing keeps a time namespace alive.
func TestNoHandles(t *testing.T) {
	for _, s := range stacks() {
		t.Run(s.String(), func(t *testing.T) {
			require(t, s.runtime.key, s.runtime.problem())
			s.needsClocks(t)
			c := newContainer(t, s)
			ask(c, askMonotonic, askBoottime)
			c.run()
			checkHandles(t)

			c = newContainer(t, s)
			ask(c, askMonotonic, "soon")
			c.refused("create", `"soon"`)
			checkHandles(t)

			if s.mechanism != "hook" {
				return
			}
			for _, step := range killSteps {
				c = newContainer(t, s)
				c.killHookAt(step)
				if c.create().exit == 0 {
					c.must("delete", "--force", c.id)
					c.reap()
				}
				checkHandles(t)
			}
		})
	}
}

// checkHandles gives what has been killed a moment to end.
func checkHandles(t *testing.T) {
	t.Helper()
	waitFor(t, "all handles on time namespaces to be closed", func() bool { return len(timeHandles(t)) == 0 })
}

// cgroupsOf lists the cgroups of a name below the tests' own, in every hierarchy.
func cgroupsOf(name string) []string {
	all, err := filepath.Glob("/sys/fs/cgroup/*" + cgroupParent + name) // cgroup v1
	if err != nil {
		panic(err)
	}
	all = append(all, "/sys/fs/cgroup"+cgroupParent+name) // cgroup v2
	return slices.DeleteFunc(all, func(path string) bool {
		_, err := os.Stat(path)
		return err != nil || strings.HasPrefix(path, apart.Unified) // which PrepareMounts replaced
	})
}

// removeCgroups removes the parent of the containers' cgroups.
func removeCgroups() (err error) {
	for _, path := range cgroupsOf("") {
		if e := unix.Rmdir(path); e != nil {
			err = errors.Join(err, fmt.Errorf("removing %s: %w", path, e))
		}
	}
	return err
}
