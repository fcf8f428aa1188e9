package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processes lists the PIDs there are; all belong to the tests.
func processes() (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// procFile reads a file about a process, which may be gone.
func procFile(pid int, name string) []byte {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	return text
}

// statFields are those of /proc/PID/stat behind the name, proc_pid_stat(5): the first is
// the state, and the second the parent. A process that is gone has none.
func statFields(pid int) []string {
	stat := string(procFile(pid, "stat"))
	return strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
}

func parentOf(pid int) int {
	if f := statFields(pid); len(f) > 1 {
		ppid, _ := strconv.Atoi(f[1])
		return ppid
	}
	return 0
}

// dead tells whether a process has ended, though its parent may not have looked.
func dead(pid int) bool {
	f := statFields(pid)
	return len(f) == 0 || f[0] == "Z" || f[0] == "X"
}

// listing is what a folder holds, but for a file that is there to be locked.
func listing(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != ".lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

// within waits for something to become nil.
func within(d time.Duration, f func() error) error {
	for end := time.Now().Add(d); ; time.Sleep(2 * time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// gone is an error for everything that outlives the container. What has been killed
// may take a moment. Temporary files may be left in the bundle by who was killed.
func (c *container) gone(killed bool) error {
	err := within(5*time.Second, func() error {
		var errs []error
		for _, pid := range processes() {
			for _, name := range []string{"cgroup", "environ", "cmdline"} {
				if pid != os.Getpid() && bytes.Contains(procFile(pid, name), []byte(c.id)) && !dead(pid) {
					errs = append(errs, fmt.Errorf("process %d is left, as its %s says: %q", pid, name, procFile(pid, "cmdline")))
				}
			}
		}
		return errors.Join(errs...)
	})
	errs := []error{err}
	if bytes.Contains(procFile(os.Getpid(), "mountinfo"), []byte("/"+c.id+"/")) {
		errs = append(errs, errors.New("a mount is left"))
	}
	if names := listing(c.root()); len(names) > 0 {
		errs = append(errs, fmt.Errorf("the runtime keeps %q", names))
	}
	for _, name := range listing(c.bundle()) {
		if name != "config.json" && !(killed && strings.HasPrefix(name, ".config.json.")) {
			errs = append(errs, fmt.Errorf("%s is left in the bundle", name))
		}
	}
	if left := cgroupsOf("/" + c.id); len(left) > 0 {
		errs = append(errs, fmt.Errorf("cgroups are left: %q", left))
	}
	return errors.Join(errs...)
}

// remove takes the container's files away.
func (c *container) remove() error { return os.RemoveAll(c.dir) }

// unchanged is an error unless config.json is what was written, or one of these texts.
func (c *container) unchanged(or ...[]byte) error {
	text, err := os.ReadFile(filepath.Join(c.bundle(), "config.json"))
	if err != nil {
		return err
	}
	for _, allowed := range append(or, c.config) {
		if bytes.Equal(text, allowed) {
			return nil
		}
	}
	return fmt.Errorf("config.json is neither the old nor the new one, but %q", text)
}
