package timens

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// inCgroup lists the processes in the cgroup of p and below, in the hierarchy by which
// containers are frozen: cgroup v1's freezer, else cgroup v2. It finds what it can:
// there may be no cgroups, or they may not be mounted here, and the container may share
// its cgroup with who looks, which then says nothing about the others in it.
func (p *Process) inCgroup(root int) (pids []int) {
	theirs, err := readAt(p.dir, "cgroup")
	if err != nil {
		return nil
	}
	own, err := readAt(root, "self/cgroup")
	if err != nil {
		return nil
	}
	v1, path := freezerPath(string(theirs))
	_, mine := freezerPath(string(own))
	if path == "" || path == "/" || strings.Contains(path, "/..") || mine == path || strings.HasPrefix(mine, path+"/") {
		return nil
	}
	mounts, err := readAt(root, "self/mountinfo")
	if err != nil {
		return nil
	}
	dir := cgroupDir(string(mounts), v1, path)
	if dir == "" {
		return nil
	}
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // removed meanwhile
		}
		text, _ := os.ReadFile(filepath.Join(name, "cgroup.procs"))
		for f := range bytes.FieldsSeq(text) {
			if pid, err := strconv.Atoi(string(f)); err == nil && pid > 0 { // 0: not in our PID namespace
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// freezerPath finds the hierarchy in /proc/PID/cgroup, cgroups(7).
func freezerPath(text string) (v1 bool, path string) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(f) != 3:
		case slices.Contains(strings.Split(f[1], ","), "freezer"):
			return true, f[2]
		case f[0] == "0" && f[1] == "":
			path = f[2]
		}
	}
	return false, path
}

// cgroupDir returns where the cgroup at path can be seen, by proc_pid_mountinfo(5):
// "36 35 0:34 ROOT MOUNTPOINT OPTIONS ... - TYPE SOURCE SUPEROPTIONS". Of several
// mounts the last covers the others.
func cgroupDir(mountinfo string, v1 bool, path string) (dir string) {
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Split(before, " "), strings.Split(strings.TrimSuffix(after, "\n"), " ")
		if len(f) < 5 || len(g) < 3 {
			continue
		}
		wanted := !v1 && g[0] == "cgroup2" || v1 && g[0] == "cgroup" && slices.Contains(strings.Split(g[2], ","), "freezer")
		if rel, err := filepath.Rel(f[3], path); wanted && err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			dir = filepath.Join(unescapeMount(f[4]), rel)
		}
	}
	return dir
}
