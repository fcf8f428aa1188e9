package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// enterRoot makes the tree, which is the tests' and stays as it is, the root, with
// everything that is written going to memory; without a tree, memory alone.
func enterRoot() error {
	if err := os.MkdirAll("/root", 0o755); err != nil { // the kernel's own initial root has it
		return err
	}
	if err := unix.Mount("tmpfs", "/root", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting memory: %w", err)
	}
	if _, err := os.Stat("/tree"); err == nil {
		if err := overlay(); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// pivot_root(2) refuses to leave the initial root: it is moved over instead.
	if err := os.Chdir("/root"); err != nil {
		return err
	}
	for _, dir := range []string{"dev", "proc", "sys"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("/dev", "dev", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving /dev: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	return os.Chdir("/")
}

func overlay() error {
	for _, dir := range []string{"/root/upper", "/root/work", "/merged"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("/dev/vda", "/tree", "ext4", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting the tree: %w", err)
	}
	if err := unix.Mount("overlay", "/merged", "overlay", 0, "lowerdir=/tree,upperdir=/root/upper,workdir=/root/work"); err != nil {
		return fmt.Errorf("mounting the overlay: %w", err)
	}
	return unix.Mount("/merged", "/root", "", unix.MS_MOVE, "")
}

// mounts are those of any system. Where engines and tests keep containers is no overlay,
// as those do not carry each other.
func mounts() error {
	const safe = unix.MS_NOSUID | unix.MS_NODEV
	for _, m := range []struct {
		path, fs, options string
		flags             uintptr
	}{
		{"/proc", "proc", "", safe | unix.MS_NOEXEC},
		{"/sys", "sysfs", "", safe | unix.MS_NOEXEC},
		{"/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=620,gid=5", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"/dev/shm", "tmpfs", "mode=1777", safe},
		{"/dev/mqueue", "mqueue", "", safe | unix.MS_NOEXEC},
		{"/run", "tmpfs", "mode=755", safe},
		{"/tmp", "tmpfs", "mode=1777", 0},
		{"/var/lib/containers", "tmpfs", "mode=755", 0},
	} {
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fs, m.path, m.fs, m.flags, m.options); err != nil {
			return fmt.Errorf("mounting %s: %w", m.path, err)
		}
	}
	if err := mountCgroups(); err != nil {
		return err
	}
	if err := mountFiles(); err != nil {
		return err
	}
	for from, to := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(to, from); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// As systemd leaves it: engines want to share mounts with containers.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("sharing mounts: %w", err)
	}
	if err := unix.Sethostname([]byte("guest")); err != nil {
		return err
	}
	return loopback()
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
