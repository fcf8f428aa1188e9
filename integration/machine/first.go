package machine

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// initEnv holds the layout of a machine, for its first process.
const initEnv = "TIMENS_TEST_MACHINE"

type layout struct {
	Tree, Dir string
	Cgroups   []cgroup
}

// init, as it runs on the main thread and before any test: a machine's first
// process is the test binary started once more.
func init() {
	text := os.Getenv(initEnv)
	if text == "" {
		return
	}
	runtime.LockOSThread()
	var l layout
	err := json.Unmarshal([]byte(text), &l)
	if err == nil {
		err = l.build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() { // what started the machine holds the other end
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // either way it has ended
		os.Exit(0)
	}()
	os.Stdout.Write([]byte("\n"))
	os.Stdout.Close()
	reap()
}

// reap waits for what was given to process 1.
func reap() {
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// build makes the calling process the first of its machine.
func (l layout) build() error {
	if err := enterCgroups(l.Cgroups); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	root, err := l.overlay()
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := l.mounts(); err != nil {
		return err
	}
	// pivot_root(2), "pivot_root(".", ".")": the old root ends up on top.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// As systemd leaves it: engines want to share mounts with containers.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("sharing mounts: %w", err)
	}
	if err := unix.Sethostname([]byte("machine")); err != nil {
		return err
	}
	return loopback()
}

// overlay mounts the tree, with everything that is written going to memory.
func (l layout) overlay() (root string, err error) {
	memory := filepath.Join(l.Dir, "memory")
	if err := os.Mkdir(memory, 0o755); err != nil {
		return "", err
	}
	if err := unix.Mount("tmpfs", memory, "tmpfs", 0, "mode=755,size=4g"); err != nil {
		return "", fmt.Errorf("mounting memory: %w", err)
	}
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(memory, d), 0o755); err != nil {
			return "", err
		}
	}
	root = filepath.Join(memory, "root")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", l.Tree, filepath.Join(memory, "upper"), filepath.Join(memory, "work"))
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return "", fmt.Errorf("mounting an overlay on %s: %w", l.Tree, err)
	}
	return root, nil
}

// mounts mounts into the working directory what a machine has. What engines keep
// there is hidden, so that each machine starts without containers; being no
// overlay, it can also carry the engines' own ones.
func (l layout) mounts() error {
	const safe = unix.MS_NOSUID | unix.MS_NODEV
	for _, m := range []struct {
		path, fs, options string
		flags             uintptr
	}{
		{"proc", "proc", "", safe | unix.MS_NOEXEC},
		{"sys", "sysfs", "", safe | unix.MS_NOEXEC},
		{"dev", "tmpfs", "mode=755", unix.MS_NOSUID},
		{"dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=620,gid=5", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"dev/shm", "tmpfs", "mode=1777", safe},
		{"dev/mqueue", "mqueue", "", safe | unix.MS_NOEXEC},
		{"run", "tmpfs", "mode=755", safe},
		{"tmp", "tmpfs", "mode=1777", safe},
		{"var/lib/containers", "tmpfs", "mode=755", 0},
		{"var/lib/docker", "tmpfs", "mode=711", 0},
		{"var/lib/containerd", "tmpfs", "mode=711", 0},
	} {
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fs, m.path, m.fs, m.flags, m.options); err != nil {
			return fmt.Errorf("mounting /%s: %w", m.path, err)
		}
	}
	if err := devices(); err != nil {
		return err
	}
	return mountCgroups("sys/fs/cgroup", l.Cgroups)
}

func devices() error {
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty", "kmsg"} {
		if err := os.WriteFile("dev/"+name, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, "dev/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding /dev/%s: %w", name, err)
		}
	}
	for from, to := range map[string]string{
		"dev/ptmx": "pts/ptmx", "dev/fd": "/proc/self/fd",
		"dev/stdin": "/proc/self/fd/0", "dev/stdout": "/proc/self/fd/1", "dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(to, from); err != nil {
			return err
		}
	}
	return nil
}

// loopback sets the one network interface up.
func loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("setting lo up: %w", err)
	}
	return nil
}
