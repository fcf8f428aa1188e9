package containerd

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// kept is where containerd, its shims, the runtimes and this project keep what belongs
// to a container.
var kept = []string{
	"/run", "/tmp", "/var/lib/oci-timens",
	"/var/lib/containerd/io.containerd.runtime.v2.task", "/var/lib/containerd/io.containerd.grpc.v1.cri",
}

// traces lists everything that a container leaves while it is there: processes,
// handles of time namespaces, mounts, cgroups and files.
func (e *engine) traces(t *testing.T) (all []string) {
	t.Helper()
	for name := range e.m.Snapshot(kept...) {
		// A record of what a pod's containers share ends with the pod, and is removed
		// when the next one is made.
		if !strings.HasPrefix(name, "/run/oci-timens/pods") {
			all = append(all, "file "+name)
		}
	}
	mounts, err := os.ReadFile(e.m.Path("/proc/1/mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		all = append(all, "mount "+strings.Fields(line)[4]+" "+strings.Fields(line)[3])
	}
	groups := e.m.Path("/sys/fs/cgroup")
	err = filepath.WalkDir(groups, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, "cgroup "+strings.TrimPrefix(path, groups))
		}
		return nil // may go meanwhile
	})
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, e.processes(t)...)
	slices.Sort(all)
	return all
}

// processes lists the machine's processes, and what holds a time namespace.
func (e *engine) processes(t *testing.T) (all []string) {
	t.Helper()
	own, err := os.Readlink(e.m.Path("/proc/1/ns/time"))
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(e.m.Path("/proc/[0-9]*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // has ended
		}
		program := strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " ")
		all = append(all, "process "+program)
		links, _ := filepath.Glob(dir + "/fd/*") // the pattern is right
		for _, link := range append(links, dir+"/ns/time", dir+"/ns/time_for_children") {
			if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "time") && to != own && strings.Contains(to, ":[") {
				all = append(all, "time namespace "+to+" of "+program)
			}
		}
	}
	return all
}

// checkEmpty checks that no trace of a container is left, once containerd has had the
// time to remove them: its shims end on their own.
func (e *engine) checkEmpty(t *testing.T, empty []string) {
	t.Helper()
	count := func(all []string) map[string]int {
		m := map[string]int{}
		for _, one := range all {
			m[one]++
		}
		return m
	}
	var left []string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		was, is := count(empty), count(e.traces(t))
		left = nil
		for _, one := range slices.Sorted(maps.Keys(is)) {
			if is[one] > was[one] {
				left = append(left, one)
			}
		}
		if left == nil {
			return
		}
	}
	t.Errorf("%d traces are left behind:\n%s", len(left), strings.Join(left[:min(len(left), 20)], "\n"))
}
