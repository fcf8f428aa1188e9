// Package apart starts a program again in namespaces of its own, in which it may mount,
// start containers and look at every process without meeting those of the machine. What
// each does there is its own.
package apart

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Again is a command that starts this program once more, with more in its environment.
func Again(args []string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// Run runs cmd in new mount and PID namespaces, and others that flags name (CLONE_NEW…,
// clone(2)), and returns its exit status. It ends when this program does, and all of its
// world with it. An error is that it could not be started, or was ended by a signal.
func Run(cmd *exec.Cmd, flags uintptr) (code int, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | flags, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // whose end Pdeathsig goes by
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// Unified is where cgroup2 is mounted beside cgroup v1 ("hybrid mode"), which crun refuses.
const Unified = "/sys/fs/cgroup/unified"

// PrepareMounts makes every mount from here on private, with a /proc and a /run of the new
// world. It hides cgroup2 where that stands beside cgroup v1: there is an empty folder then.
func PrepareMounts() (hidden bool, err error) {
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return false, fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return false, fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return false, fmt.Errorf("hiding /run: %w", err)
	}
	var fs unix.Statfs_t
	if unix.Statfs(Unified, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return false, nil // no such mount: nothing to hide
	}
	if err := unix.Mount("tmpfs", Unified, "tmpfs", 0, ""); err != nil {
		return false, fmt.Errorf("hiding %s: %w", Unified, err)
	}
	return true, nil
}
