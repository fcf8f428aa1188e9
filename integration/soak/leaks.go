package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// counts are how much there is of what could be left, while no container is there.
type counts struct {
	when      string
	starts    int
	processes int      // of this run, without this one
	mounts    []string // lines of /proc/self/mountinfo
	fds       int      // open files of this process
	threads   int      // of this process
	cgroups   int
	files     int    // below /run and in the folder of this run, but for those
	kept      int    // that are kept on purpose: of runtimes, and of clocks by name
	pods      int    // records of pods, which go with the next pod
	number    uint64 // of a namespace made now: the lowest that is free on the machine
	memory    int64  // bytes that the cgroup of this run and what was below it take
	available int64  // MemAvailable of the machine
}

type leaks struct {
	s     *soak
	group cgroup
	all   []counts
}

// maxPods is how many records of pods that have ended may wait for the next pod, which
// removes them (internal/pod).
const maxPods = 64

// count waits for what ends a moment after its container, and counts.
func (l *leaks) count(when string, starts int) {
	var c counts
	eventually(20*time.Second, func() bool {
		reapAll()
		c = l.now()
		// The kernel gives memory of containers that have ended back some time later.
		return c.processes == 0 && c.cgroups == 0 &&
			(len(l.all) == 0 || c.number <= l.all[0].number+fewNumbers && c.memory <= l.all[0].mostMemory(starts))
	})
	c.when, c.starts = when, starts
	l.all = append(l.all, c)
	if len(l.all) == 1 {
		fmt.Printf("| when | starts | processes | mounts | open files | threads | cgroups | files | kept | pods | namespace number | memory | MemAvailable |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	}
	fmt.Printf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d KiB | %d MiB |\n", when, starts, c.processes, len(c.mounts), c.fds, c.threads, c.cgroups, c.files, c.kept, c.pods,
		c.number, c.memory>>10, c.available>>20)
}

func (l *leaks) now() (c counts) {
	runtime.GC()
	c.processes, c.cgroups = len(processes()), len(l.group.below())
	c.mounts = slices.DeleteFunc(slices.Collect(strings.Lines(read("/proc/self/mountinfo"))), l.s.isCruns)
	c.fds, c.threads = entries("/proc/self/fd"), entries("/proc/self/task")
	c.pods = entries("/run/oci-timens/pods")
	c.kept = entries("/run/oci-timens") + entries(filepath.Join(l.s.dir, "saved"))
	c.files = filesBelow("/run") + filesBelow(l.s.dir) - c.pods - c.kept
	c.number = namespaceNumber()
	c.memory = l.group.used()
	for line := range strings.Lines(read("/proc/meminfo")) {
		if f := strings.Fields(line); f[0] == "MemAvailable:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			c.available = kib << 10
		}
	}
	return c
}

// isCruns removes a mount that crun has made of itself, to start itself anew from, and was
// killed before it took it away (src/libcrun/cloned_binary.c of crun 1.8). Nobody else's
// is like that, and no crun runs while mounts are counted.
func (s *soak) isCruns(mount string) bool {
	fields := strings.Fields(mount) // proc_pid_mountinfo(5)
	if at := fields[4]; filepath.Base(fields[3]) == "crun" && strings.HasPrefix(filepath.Base(at), "crun.") {
		s.note("mounts of itself that a killed crun has left")
		return unix.Unmount(at, unix.MNT_DETACH) == nil && os.Remove(at) == nil
	}
	return false
}

func read(path string) string {
	text, _ := os.ReadFile(path) // "" where it is not there
	return string(text)
}

func entries(dir string) int {
	list, _ := os.ReadDir(dir) // none where it is not there
	return len(list)
}

func filesBelow(dir string) (n int) {
	_ = filepath.WalkDir(dir, func(string, os.DirEntry, error) error { n++; return nil })
	return n
}

// namespaceNumber makes a namespace for a moment. All of a machine, and the files of /proc,
// have numbers from one set, of which the lowest that is free is taken (proc_alloc_inum,
// fs/proc/generic.c of Linux 6.18): what is left takes numbers away for good.
func namespaceNumber() (n uint64) {
	done := make(chan uint64)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		var st unix.Stat_t
		if unix.Unshare(unix.CLONE_NEWUTS) == nil && unix.Stat("/proc/thread-self/ns/uts", &st) == nil {
			done <- st.Ino
		}
		close(done)
	}()
	return <-done
}

// used has the kernel give back what it can, and tells what is left.
func (g cgroup) used() (bytes int64) {
	dir := g.memory()
	for _, f := range []struct{ name, text string }{{"memory.force_empty", "0"}, {"memory.reclaim", "1G"}} {
		if path := filepath.Join(dir, f.name); exists(path) {
			_ = os.WriteFile(path, []byte(f.text), 0) // as much as can be had
		}
	}
	for _, name := range []string{"memory.kmem.usage_in_bytes", "memory.usage_in_bytes", "memory.current"} {
		if n, err := strconv.ParseInt(strings.TrimSpace(read(filepath.Join(dir, name))), 10, 64); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

const (
	// fewNumbers are what others on the machine may have taken meanwhile.
	fewNumbers, fewerThanStarts = 100, 20
	// A namespace that is left takes more than a page.
	perStart  = 512
	allStarts = 4 << 20
)

// mostMemory is how much may be taken after so many starts.
func (c counts) mostMemory(starts int) int64 {
	return c.memory + allStarts + perStart*int64(starts-c.starts)
}

// judge compares the counts.
func (l *leaks) judge() (err error) {
	begin := l.all[0]
	for _, c := range l.all {
		grown := func(what string, is, was, most int) {
			if is > was+most {
				err = errors.Join(err, fmt.Errorf("%s: %d %s, and %d in the beginning", c.when, is, what, was))
			}
		}
		more := c.starts - begin.starts
		grown("processes", c.processes, 0, 0)
		for _, m := range c.mounts {
			if !slices.Contains(begin.mounts, m) {
				err = errors.Join(err, fmt.Errorf("%s: a mount is left: %s", c.when, m))
			}
		}
		grown("open files", c.fds, begin.fds, 2)
		grown("cgroups", c.cgroups, 0, 0)
		grown("files", c.files, begin.files, 3) // the folders of those that are kept
		grown("files that are kept", c.kept, len(l.s.runtimes)+l.s.parallel, 2)
		grown("records of pods", c.pods, maxPods, 0)
		grown("is the number of a new namespace", int(c.number), int(begin.number), fewNumbers+more/fewerThanStarts)
		grown("bytes of memory", int(c.memory), int(begin.mostMemory(c.starts)), 0)
	}
	return err
}
