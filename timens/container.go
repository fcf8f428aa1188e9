package timens

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Container is what ReadContainer saw of a container.
type Container struct {
	// Namespaces are those of its init.
	Namespaces Namespaces
	// Processes and Threads count what was looked at, init among them.
	Processes, Threads int
	// Strays are the threads whose namespaces are not twice the one that init is in.
	Strays []Stray
}

// Stray is a thread of a container that has other clocks than its init, or whose
// children or next program will have.
type Stray struct {
	PID, TID   int    // TID is PID for the main thread
	Name       string // at most 15 bytes, as in proc_pid_comm(5)
	Namespaces Namespaces
}

// ReadContainer looks at every task of the container whose init is p. Those are
//
//   - init's descendants, which are what CRIU dumps (collect_task in criu/seize.c);
//   - everything in its PID namespace, where that is its own: who came by setns(2) is
//     nobody's child there, but its orphans become init's;
//   - everything in its cgroup and below, where it does not share that with who looks.
//
// Zombies are in no namespace. A task that is born meanwhile may be missed; it is
// where its parent was.
func (p *Process) ReadContainer() (Container, error) {
	if err := HaveTimeNamespaces(); err != nil {
		return Container{}, err
	}
	ns, err := p.Namespaces()
	if err != nil {
		return Container{}, err
	}
	root, err := proc()
	if err != nil {
		return Container{}, err
	}
	pids, err := p.members(root)
	if err != nil {
		return Container{}, fmt.Errorf("container init %d: %w", p.pid, err)
	}
	c := Container{Namespaces: ns}
	for _, pid := range pids {
		if err := c.add(root, pid); err != nil {
			return Container{}, fmt.Errorf("process %d of the container: %w", pid, err)
		}
	}
	return c, p.alive()
}

// add looks at the threads of one process.
func (c *Container) add(root, pid int) error {
	dir, err := unix.Openat(root, strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if gone(err) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(dir)
	tids, err := numbersIn(dir, "task")
	if err != nil && !gone(err) {
		return err
	}
	living := 0
	for _, tid := range tids {
		prefix := "task/" + strconv.Itoa(tid) + "/"
		ns, err := readNamespaces(dir, prefix)
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		living++
		if ns.Time == c.Namespaces.Time && ns.ForChildren == c.Namespaces.Time {
			continue
		}
		name, _ := readAt(dir, prefix+"comm")
		c.Strays = append(c.Strays, Stray{pid, tid, string(bytes.TrimSuffix(name, []byte("\n"))), ns})
	}
	c.Threads += living
	c.Processes += min(living, 1)
	return nil
}

// members lists the processes of the container whose init is p, each once.
func (p *Process) members(root int) ([]int, error) {
	inNamespace, err := p.inPIDNamespace(root)
	if err != nil {
		return nil, err
	}
	list := append([]int{p.pid}, inNamespace...)
	list = append(list, p.inCgroup(root)...)
	seen := map[int]bool{}
	var found []int
	for len(list) > 0 {
		pid := list[len(list)-1]
		list = list[:len(list)-1]
		if seen[pid] {
			continue
		}
		seen[pid] = true
		found = append(found, pid)
		children, err := childrenOf(root, pid)
		if err != nil {
			return nil, err
		}
		list = append(list, children...)
	}
	slices.Sort(found)
	return found, nil
}

// childrenOf lists the children that a process's threads have.
func childrenOf(root, pid int) (list []int, err error) {
	tasks := strconv.Itoa(pid) + "/task"
	tids, err := numbersIn(root, tasks)
	if err != nil && !gone(err) {
		return nil, &os.PathError{Op: "list", Path: "/proc/" + tasks, Err: err}
	}
	for _, tid := range tids {
		dir := tasks + "/" + strconv.Itoa(tid)
		text, err := readAt(root, dir+"/children")
		if errors.Is(err, unix.ENOENT) {
			if unix.Faccessat(root, dir+"/comm", unix.F_OK, 0) == nil && unix.Faccessat(root, dir+"/children", unix.F_OK, 0) != nil {
				return nil, notSupported("kernel %s does not tell the children of a process, CONFIG_PROC_CHILDREN: CRIU needs it as well", release())
			}
			continue
		}
		if err != nil && !gone(err) {
			return nil, &os.PathError{Op: "read", Path: "/proc/" + dir + "/children", Err: err}
		}
		for f := range bytes.FieldsSeq(text) {
			if child, err := strconv.Atoi(string(f)); err == nil {
				list = append(list, child)
			}
		}
	}
	return list, nil
}

// inPIDNamespace lists the processes in the PID namespace of p, provided that it is
// the container's own: not ours, and begun by p, as that of a pod is not.
func (p *Process) inPIDNamespace(root int) ([]int, error) {
	theirs, err := namespaceID(p.dir, "ns/pid")
	if err != nil {
		return nil, err
	}
	mine, err := namespaceID(root, "self/ns/pid")
	if err != nil || theirs == mine {
		return nil, err
	}
	status, err := p.read("status")
	if err != nil {
		return nil, err
	}
	numbers, _ := statusLine(status, "NSpid") // one for each namespace, ours first
	if f := bytes.Fields([]byte(numbers)); len(f) < 2 || string(f[len(f)-1]) != "1" {
		return nil, nil
	}
	pids, err := numbersIn(root, ".")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	ns, err := unix.Openat(p.dir, "ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p.path("ns/pid"), Err: err}
	}
	defer unix.Close(ns)
	isIn := inNamespace(ns)
	if !isIn(p.pid) {
		isIn = linksTo(root, "pid", theirs)
	}
	return slices.DeleteFunc(pids, func(pid int) bool { return !isIn(pid) }), nil
}

// inNamespace tells whether a process is in a PID namespace, or one below it, from Linux
// 6.11 on: ioctl_nsfs(2).
func inNamespace(ns int) func(pid int) bool {
	return func(pid int) bool {
		_, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(ns), unix.NS_GET_TGID_IN_PIDNS, uintptr(pid))
		return err == 0
	}
}

// linksTo tells whether a process is in a namespace, by the text of its link, such as
// "pid:[4026532177]". That takes half the time of stat(2), and ten times that of the ioctl.
// What may not be looked at is not the container's, whose init we may look at.
func linksTo(root int, typ string, ns NamespaceID) func(pid int) bool {
	want, link := fmt.Sprintf("%s:[%d]", typ, ns.Ino), make([]byte, 64)
	return func(pid int) bool {
		n, err := unix.Readlinkat(root, strconv.Itoa(pid)+"/ns/"+typ, link)
		return err == nil && string(link[:n]) == want
	}
}
