package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// insideEnv carries the work directory to this program in its second run, in the
// private mount namespace.
const insideEnv = "_TIMENS_DEMO_DIR"

const cgroupRoot = "/sys/fs/cgroup"

// Run shows the demo. It works in a mount namespace of its own, for which it
// starts the program once more with the same arguments, so that mounts and files
// are gone with the last process whatever happens. When ctx ends, so does the demo,
// having removed its containers.
func Run(ctx context.Context, o Options) error {
	if dir, ok := os.LookupEnv(insideEnv); ok {
		os.Unsetenv(insideEnv)
		if err := makePrivate(dir); err != nil {
			return err
		}
		defer leavePrivate(dir)
		return show(ctx, o, dir, filepath.Base(dir))
	}
	if err := needRoot(os.Geteuid()); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "timens-demo-"+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	defer removeCgroups(filepath.Base(dir) + "-*")
	return again(ctx, dir, o)
}

func needRoot(euid int) error {
	if euid == 0 {
		return nil
	}
	return errors.New("the demo starts containers with cgroups and mounts, and needs root: run it as root, such as with \"sudo timensctl demo\"; \"timensctl check\" says what works for you here")
}

// again runs this program with its arguments in a new mount namespace.
func again(ctx context.Context, dir string, o Options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"="+dir)
	cmd.Stdout, cmd.Stderr = o.Out, o.Err
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = startLimit
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGTERM}
	runtime.LockOSThread() // the death signal comes when the thread ends
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return ErrSaid // by the second run
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("the demo's process in a mount namespace of its own: %w", err)
	}
	return nil
}

// ErrSaid is returned for a failure that has been printed already.
var ErrSaid = errors.New("the demo failed")

// makePrivate prepares the mount namespace: nothing mounted here is seen outside,
// dir is a file system in memory, and cgroups are where runtimes want them.
func makePrivate(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return &os.PathError{Op: "make the mounts private below", Path: "/", Err: err}
	}
	if err := mount("tmpfs", dir, "mode=700"); err != nil {
		return err
	}
	unified := filepath.Join(cgroupRoot, "unified")
	switch {
	case fsType(cgroupRoot) == unix.SYSFS_MAGIC: // nothing is mounted there
		return mount("cgroup2", cgroupRoot, "")
	case fsType(cgroupRoot) == unix.TMPFS_MAGIC && fsType(unified) == unix.CGROUP2_SUPER_MAGIC:
		// crun: "cgroups in hybrid mode not supported". It does not look any
		// further when there is no cgroup2 file system in that place.
		return mount("tmpfs", unified, "size=1m")
	}
	return nil
}

// leavePrivate removes the directory itself, even when the first run is gone.
func leavePrivate(dir string) {
	_ = unix.Unmount(dir, unix.MNT_DETACH)
	_ = os.Remove(dir)
}

func mount(typ, dir, data string) error {
	if err := unix.Mount(typ, dir, typ, 0, data); err != nil {
		return &os.PathError{Op: "mount a " + typ + " on", Path: dir, Err: err}
	}
	return nil
}

// fsType returns the magic number of the file system at path, or 0.
func fsType(path string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return 0
	}
	return int64(st.Type)
}

// removeCgroups removes the cgroups of containers whose ids match pattern, in
// every hierarchy. Runtimes do it themselves, except where a start failed half
// way. A cgroup stays busy for a moment after its last process.
func removeCgroups(pattern string) {
	for range 20 {
		left := false
		for _, glob := range []string{"", "*"} { // cgroup v2, then v1's hierarchies
			dirs, _ := filepath.Glob(filepath.Join(cgroupRoot, glob, pattern))
			for _, dir := range dirs {
				if t := fsType(dir); t != unix.CGROUP_SUPER_MAGIC && t != unix.CGROUP2_SUPER_MAGIC {
					continue
				}
				sub, _ := filepath.Glob(filepath.Join(dir, "*", "")) // crun makes one
				for _, d := range sub {
					_ = unix.Rmdir(d)
				}
				if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
					left = true
				}
			}
		}
		if !left {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
