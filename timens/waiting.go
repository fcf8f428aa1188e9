package timens

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// CheckWaitingInit makes sure that the process is a container's init that waits
// for hooks to end before it runs the user's program, and that it belongs to the
// low-level runtime that started us. What Kata and gVisor name in the state is a
// process of their own on the host, a stale or forged state may name anything;
// none of them may be touched. An init that waits
//
//   - is a child of a process that is our ancestor too: the runtime that runs
//     this hook,
//   - has a mount namespace of its own,
//   - still runs the runtime's program: forked from it without exec, as crun and
//     youki do, or re-executed as "… init", as runc and libcontainer do (a sealed
//     copy since runc 1.1, hence compared by size when it is not the same file).
func (p *Process) CheckWaitingInit() error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("process %d is no container init that waits for this hook: %s; its clocks are left alone",
			p.pid, fmt.Sprintf(format, args...))
	}
	s, err := p.status()
	if err != nil {
		return err
	}
	runtime, err := openAncestor(s.ppid)
	if err != nil {
		return err
	}
	if runtime == nil {
		return refuse("its parent %d did not start this hook", s.ppid)
	}
	defer runtime.Close()
	root, err := proc()
	if err != nil {
		return err
	}
	mine, err := namespaceID(root, "self/ns/mnt")
	if err != nil {
		return err
	}
	theirs, err := namespaceID(p.dir, "ns/mnt")
	if err != nil {
		return fmt.Errorf("process %d: %w", p.pid, err)
	}
	if mine == theirs {
		return refuse("it shares this hook's mount namespace")
	}
	same, forked, err := sameProgram(p, runtime)
	if err != nil {
		return err
	}
	argv, err := p.read("cmdline")
	if err != nil {
		return err
	}
	runtimeArgv, err := runtime.read("cmdline")
	if err != nil {
		return err
	}
	args := bytes.Split(bytes.TrimSuffix(argv, []byte{0}), []byte{0})
	isInit := len(args) == 2 && string(args[1]) == "init"
	if !same || !(isInit || forked && bytes.Equal(argv, runtimeArgv)) {
		return refuse("it runs %q (%s), not the init of its runtime", bytes.Join(args, []byte(" ")), s.name)
	}
	return p.alive()
}

// openAncestor opens pid when it is an ancestor of ours. It returns nil when it
// is none.
func openAncestor(pid int) (*Process, error) {
	all, err := Ancestors()
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.PID == pid {
			return OpenProcess(pid)
		}
	}
	return nil, nil
}

// sameProgram compares what two processes execute; file tells whether it is the
// very same file.
func sameProgram(a, b *Process) (same, file bool, err error) {
	var sa, sb unix.Stat_t
	if err := unix.Fstatat(a.dir, "exe", &sa, 0); err != nil {
		return false, false, &os.PathError{Op: "stat", Path: a.path("exe"), Err: err}
	}
	if err := unix.Fstatat(b.dir, "exe", &sb, 0); err != nil {
		return false, false, &os.PathError{Op: "stat", Path: b.path("exe"), Err: err}
	}
	file = sa.Dev == sb.Dev && sa.Ino == sb.Ino
	return file || sa.Size == sb.Size, file, nil
}
