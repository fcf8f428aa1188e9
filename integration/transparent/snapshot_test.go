package transparent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/integration/apart"
)

// files tells all that is in the world's folder.
func (w *world) files() string {
	w.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(w.dir, path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&b, "%s %v %d:%d\n", name, info.Mode(), st.Uid, st.Gid)
		if info.Mode()&fs.ModeSymlink != 0 {
			to, _ := os.Readlink(path)
			fmt.Fprintf(&b, "%s -> %s\n", name, to)
		}
		if info.Mode().IsRegular() && !strings.HasPrefix(name, "bundle/rootfs") {
			b.WriteString(w.content(name, w.read(path)))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

// process is one line of the tree.
type process struct {
	pid, parent int
	text        string
}

// state is the letter of /proc/PID/stat, or "" without such a process.
func state(pid int) string {
	s, _ := statFields(pid)
	return s
}

func statFields(pid int) (state string, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	parent, _ = strconv.Atoi(f[1])
	return f[0], parent
}

// list finds all processes but this one.
func list() (all []process) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		s, parent := statFields(pid)
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if s == "" {
			continue
		}
		if s != "Z" {
			s = "alive" // or frozen, which its cgroup tells
		}
		all = append(all, process{pid, parent, fmt.Sprintf("%s %q %s", exe, line, s)})
	}
	return all
}

// processes tells the tree of all processes, by programs, arguments and who has whom for
// a parent.
func (w *world) processes() string {
	all := list()
	var tree func(parent int, indent string) string
	tree = func(parent int, indent string) string {
		var children []string
		for _, p := range all {
			if p.parent == parent {
				children = append(children, indent+p.text+"\n"+tree(p.pid, indent+"\t"))
			}
		}
		slices.Sort(children)
		return strings.Join(children, "")
	}
	return tree(os.Getpid(), "")
}

// reapOthers waits for what has ended, and was left to this process, but for init.
func reapOthers(init int) {
	for _, p := range list() {
		if p.parent == os.Getpid() && p.pid != init && state(p.pid) == "Z" {
			unix.Wait4(p.pid, nil, 0, nil) // it is gone either way
		}
	}
}

// endAll ends everything in the PID namespace of which this is the first process, and
// lets the next ones begin at a PID that is no other number.
func endAll() {
	for _, f := range []struct{ path, text string }{{"/sys/fs/cgroup/freezer" + cgroupParent + "/c1/freezer.state", "THAWED"}, {"/sys/fs/cgroup" + cgroupParent + "/c1/cgroup.freeze", "0"}} {
		if _, err := os.Stat(f.path); err == nil {
			os.WriteFile(f.path, []byte(f.text), 0) // what stays frozen is seen to
		}
	}
	if os.Getpid() == 1 {
		unix.Kill(-1, unix.SIGKILL)
	}
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
			break
		}
	}
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte("20000"), 0); err != nil {
		panic(err)
	}
}

// cgroups lists the containers' cgroups in all hierarchies, children first.
func cgroups() (dirs []string) {
	roots, err := filepath.Glob("/sys/fs/cgroup/*" + cgroupParent)
	if err != nil {
		panic(err)
	}
	for _, root := range append(roots, "/sys/fs/cgroup"+cgroupParent) {
		if strings.HasPrefix(root, apart.Unified+"/") && hidden {
			continue
		}
		// One that is gone meanwhile is not there.
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	slices.Sort(dirs)
	slices.Reverse(dirs)
	return dirs
}

// limits are the files of a cgroup that command lines here change.
var limits = []string{
	"pids.max", "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us",
	"cpuset.cpus", "cpuset.mems", "blkio.bfq.weight", "freezer.state", "memory.max", "memory.low", "cpu.weight", "cpu.max", "cpu.idle", "cgroup.freeze",
}

func cgroupText() string {
	var b strings.Builder
	for _, dir := range cgroups() {
		fmt.Fprintln(&b, dir)
		for _, name := range limits {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil && strings.HasSuffix(dir, "c1") {
				fmt.Fprintf(&b, "%s/%s %s\n", dir, name, strings.TrimSpace(string(text)))
			}
		}
	}
	return b.String()
}

// removeCgroups removes them once their processes are gone.
func removeCgroups() (err error) {
	if hidden { // crun makes folders there
		if err := os.RemoveAll(apart.Unified + cgroupParent); err != nil {
			return err
		}
	}
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		err = nil
		for _, dir := range cgroups() {
			if e := unix.Rmdir(dir); e != nil && e != unix.ENOENT {
				err = errors.Join(err, fmt.Errorf("removing %s: %w", dir, e))
			}
		}
		if err == nil {
			return nil
		}
	}
	return err
}
