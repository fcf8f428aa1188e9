package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// end removes the container, and is an error for what is left of it. Of one whose runtime
// was killed, what only the runtime could have removed is removed here.
func (c *container) end(failed bool) error {
	aborted := failed || c.killed
	if listing(c.root()) != "" {
		if aborted || c.pid != 0 {
			_, _ = c.try("kill", c.id, "KILL") // for a crun whose delete --force does not
		}
		if err := c.reap(); err != nil && !aborted {
			return err
		}
		if _, err := c.must("delete", "--force", c.id); err != nil && !aborted {
			return err
		}
	}
	if aborted {
		c.sweep()
	}
	var left []string
	if !eventually(20*time.Second, func() bool {
		if aborted {
			c.removeCgroups() // which may be busy for a moment
		}
		left = c.left()
		return len(left) == 0
	}) {
		return fmt.Errorf("left: %s", strings.Join(left, ", "))
	}
	return errors.Join(os.RemoveAll(c.dir), os.RemoveAll(c.root()))
}

// sweep ends what a killed runtime has started.
func (c *container) sweep() {
	eventually(2*time.Second, func() bool { return len(processesOf(c.id)) == 0 }) // mostly, it ends by itself
	for _, pid := range processesOf(c.id) {
		_ = unix.Kill(pid, unix.SIGKILL)
		c.s.note("processes of a killed runtime that did not end by themselves")
	}
	eventually(10*time.Second, func() bool {
		for _, pid := range processesOf(c.id) {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		return len(processesOf(c.id)) == 0
	})
	// runc 1.1 mounts itself there for a moment, to start itself anew from
	// (libcontainer/nsenter/cloned_binary.c, try_bindfd).
	for line := range strings.Lines(read("/proc/self/mountinfo")) {
		if at := strings.Fields(line)[4]; strings.HasPrefix(at, c.root()+"/") && strings.HasPrefix(filepath.Base(at), "runc.") && unix.Unmount(at, unix.MNT_DETACH) == nil {
			c.s.note("mounts of itself that a killed runc has left")
		}
	}
	_ = os.RemoveAll(c.root())
	if temporary, _ := filepath.Glob(filepath.Join(c.bundle(), ".config.json.*")); len(temporary) > 0 {
		c.s.note("config.json that a killed shim was about to write")
		for _, path := range temporary {
			_ = os.Remove(path)
		}
	}
}

// left lists what there still is of the container.
func (c *container) left() (list []string) {
	for _, pid := range processesOf(c.id) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		list = append(list, fmt.Sprintf("process %d %q", pid, line))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), "/"+c.id+"/") {
		list = append(list, "a mount")
	}
	if got := listing(c.root()); got != "" {
		list = append(list, "what the runtime keeps: "+got)
	}
	if got := listing(c.bundle()); got != "config.json rootfs" && got != "" {
		list = append(list, "the bundle holds "+got)
	}
	return append(list, c.cgroups()...)
}

func (c *container) removeCgroups() {
	for _, dir := range c.cgroups() {
		_ = removeCgroup(dir)
	}
}

func (c *container) cgroups() (dirs []string) {
	for _, dir := range (cgroup{filepath.Base(c.s.dir)}).below() {
		if filepath.Base(dir) == c.id {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// listing is what a folder holds, in one line.
func listing(dir string) string {
	entries, _ := os.ReadDir(dir) // there may be none
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return strings.Join(names, " ")
}

// note counts something that is no failure, and is told in the end.
func (s *soak) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes[what]++
}

// seen counts a report of a probe.
func (s *soak) seen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports++
}
