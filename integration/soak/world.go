package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/integration/apart"
)

// prepare makes mounts and cgroups the program's own.
func (s *soak) prepare(group cgroup) error {
	if _, err := apart.PrepareMounts(); err != nil {
		return err
	}
	for _, d := range []string{"containers", "root"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			return err
		}
	}
	return group.enter()
}

// cgroup is the parent of all cgroups of one run, by its name.
type cgroup struct{ name string }

// folders are those of the hierarchies in which it is there.
func (g cgroup) folders() []string {
	all, err := filepath.Glob("/sys/fs/cgroup/*/" + g.name) // cgroup v1
	if err != nil {
		panic(err)
	}
	all = append(all, "/sys/fs/cgroup/"+g.name) // cgroup v2
	return slices.DeleteFunc(all, func(path string) bool {
		_, err := os.Stat(path)
		return err != nil || strings.HasPrefix(path, apart.Unified)
	})
}

// memory is the folder by which the memory of the run is counted, "" for none.
func (g cgroup) memory() string {
	for _, f := range g.folders() {
		if _, err := os.Stat(filepath.Join(f, "memory.stat")); err == nil {
			return f
		}
	}
	return ""
}

// newCgroup makes it where memory is counted.
func newCgroup(name string) (cgroup, error) {
	g := cgroup{name}
	for _, parent := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err == nil {
			return g, os.MkdirAll(filepath.Join(parent, name, "driver"), 0o755)
		}
	}
	return g, nil
}

// enter moves this process, so that what it and the runtimes use is counted there: to a
// cgroup of its own, as one of v2 with others in it may have no processes.
func (g cgroup) enter() error {
	dir := g.memory()
	if dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, "driver/cgroup.procs"), []byte("0"), 0)
}

// below lists the cgroups that there are for containers.
func (g cgroup) below() (names []string) {
	for _, f := range g.folders() {
		entries, _ := os.ReadDir(f)
		for _, e := range entries {
			if e.IsDir() && e.Name() != "driver" {
				names = append(names, filepath.Join(f, e.Name()))
			}
		}
	}
	return names
}

// remove removes all of it, once its processes are gone.
func (g cgroup) remove() error {
	var err error
	for range 200 {
		err = nil
		for _, f := range g.folders() {
			err = errors.Join(err, removeCgroup(f))
		}
		if err == nil {
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	return err
}

// removeCgroup removes a cgroup with all below it.
func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, d := range slices.Backward(dirs) {
		if e := unix.Rmdir(d); e != nil && e != unix.ENOENT {
			err = errors.Join(err, fmt.Errorf("removing cgroup %s: %w", d, e))
		}
	}
	return err
}

// processes lists the PIDs there are beside this one; all of them are of this run.
func processes() (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// processesOf lists those that name a container.
func processesOf(id string) []int {
	return slices.DeleteFunc(processes(), func(pid int) bool {
		for _, name := range []string{"environ", "cmdline", "mountinfo", "cgroup"} {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name)) // it may end meanwhile
			if bytes.Contains(text, []byte("/"+id)) || bytes.Contains(text, []byte(id+"\x00")) {
				return false
			}
		}
		return true
	})
}

// reapAll collects what has ended and was given to this process, when nobody else waits.
func reapAll() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.EINTR && pid <= 0 {
			return
		}
	}
}

// eventually waits for a condition as long as it takes on a busy machine.
func eventually(limit time.Duration, done func() bool) bool {
	for end := time.Now().Add(limit); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
