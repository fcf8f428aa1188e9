package timens

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Task is a process as Tasks found it.
type Task struct {
	PID        int
	Name       string // at most 15 bytes, as in proc_pid_comm(5)
	Namespaces Namespaces
	// Offsets are those of Namespaces.ForChildren.
	Offsets Offsets
	// Cgroups are the paths of its cgroups below the roots of their hierarchies,
	// each once: one with cgroup v2, up to one for each hierarchy with v1.
	Cgroups []string
	// StartTicks is when it started, in clock ticks on the boottime clock of this
	// process's own time namespace: what runtimes keep to know it again.
	StartTicks uint64
}

// initialInode is the inode number of the initial time namespace, the same on
// every machine: PROC_TIME_INIT_INO in include/linux/proc_ns.h, since Linux 6.18
// TIME_NS_INIT_INO in include/uapi/linux/nsfs.h.
const initialInode = 0xEFFFFFFA

// Initial reports whether this is the machine's own time namespace, the one
// without offsets.
func (id NamespaceID) Initial() bool { return id.Ino == initialInode }

// Tasks lists the processes of our PID namespace in the order of their PIDs.
// hidden counts those that are there but may not be looked into: that takes the
// right to ptrace-read them. Zombies are left out: they are in no namespace.
func Tasks() (list []Task, hidden int, err error) {
	root, err := proc()
	if err != nil {
		return nil, 0, err
	}
	pids, err := numbersIn(root, ".")
	if err != nil {
		return nil, 0, fmt.Errorf("list processes: %w", err)
	}
	for _, pid := range pids {
		t, err := readTask(root, pid)
		switch {
		case err == nil:
			list = append(list, t)
		case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
			hidden++
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH): // ended
		default:
			return nil, 0, err
		}
	}
	return list, hidden, nil
}

// readTask reads everything through one handle, so that it all is of one process.
func readTask(root, pid int) (Task, error) {
	t := Task{PID: pid}
	name := strconv.Itoa(pid)
	dir, err := unix.Openat(root, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return t, &os.PathError{Op: "open", Path: "/proc/" + name, Err: err}
	}
	defer unix.Close(dir)
	if t.Namespaces, err = readNamespaces(dir, ""); err != nil {
		return t, fmt.Errorf("process %d: %w", pid, err)
	}
	if t.Offsets, err = readOffsets(dir, "timens_offsets"); err != nil {
		return t, fmt.Errorf("process %d: %w", pid, err)
	}
	comm, err := readAt(dir, "comm")
	if err != nil {
		return t, fmt.Errorf("process %d: read its name: %w", pid, err)
	}
	t.Name = string(bytes.TrimSuffix(comm, []byte("\n")))
	stat, err := readAt(dir, "stat")
	if err != nil {
		return t, fmt.Errorf("process %d: read its start time: %w", pid, err)
	}
	if t.StartTicks, err = parseStartTicks(string(stat)); err != nil {
		return t, fmt.Errorf("process %d: %w", pid, err)
	}
	groups, err := readAt(dir, "cgroup")
	if err != nil && !errors.Is(err, unix.ENOENT) { // a kernel without cgroups
		return t, fmt.Errorf("process %d: read its cgroups: %w", pid, err)
	}
	t.Cgroups = parseCgroups(string(groups))
	return t, nil
}

// parseCgroups returns the paths of /proc/PID/cgroup, cgroups(7): lines of
// hierarchy:controllers:path, where the path may hold colons.
func parseCgroups(text string) []string {
	var paths []string
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 && !slices.Contains(paths, f[2]) {
			paths = append(paths, f[2])
		}
	}
	return paths
}

// numbersIn lists the entries of a directory that are numbers, in order.
func numbersIn(dir int, name string) ([]int, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, n := range names {
		if v, err := strconv.Atoi(n); err == nil {
			list = append(list, v)
		}
	}
	slices.Sort(list)
	return list, nil
}

// ThreadNamespaces counts the threads of the process by the time namespaces that
// they are in. There is more than one entry while a thread has made a namespace
// that the others are not in.
func (p *Process) ThreadNamespaces() (map[Namespaces]int, error) {
	tids, err := numbersIn(p.dir, "task")
	if err != nil {
		return nil, &os.PathError{Op: "list", Path: p.path("task"), Err: err}
	}
	count := map[Namespaces]int{}
	for _, tid := range tids {
		ns, err := readNamespaces(p.dir, "task/"+strconv.Itoa(tid)+"/")
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
			continue // ended
		}
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", p.pid, err)
		}
		count[ns]++
	}
	return count, nil
}

// Pinned is a time namespace that is bound to a path, as Pin does.
type Pinned struct {
	Inode uint64 // the Ino of its NamespaceID; there is one nsfs on a machine
	Path  string
}

// PinnedNamespaces lists the time namespaces that are bound to paths in our mount
// namespace.
func PinnedNamespaces() ([]Pinned, error) {
	root, err := proc()
	if err != nil {
		return nil, err
	}
	text, err := readAt(root, "self/mountinfo")
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: "/proc/self/mountinfo", Err: err}
	}
	return parsePinned(string(text)), nil
}

// unescapeMount undoes how the kernel writes a path into mountinfo.
func unescapeMount(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// parsePinned picks the lines of proc_pid_mountinfo(5) whose root is a time
// namespace, "time:[4026532177]". Fields are apart by one space each: of other white
// space, the kernel leaves some in paths as it is.
func parsePinned(text string) []Pinned {
	var list []Pinned
	for line := range strings.Lines(text) {
		f := strings.Split(line, " ")
		if len(f) < 5 {
			continue
		}
		var ino uint64
		if n, _ := fmt.Sscanf(f[3], "time:[%d]", &ino); n == 1 {
			list = append(list, Pinned{ino, unescapeMount(f[4])})
		}
	}
	return list
}
