package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountFiles mounts the second disk, where there is one.
func mountFiles() error {
	const disk, at = "/dev/vdb", "/files"
	if _, err := os.Stat(disk); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(disk, at, "ext4", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting the files: %w", err)
	}
	return nil
}

// mountCgroups mounts cgroup v2, or with CGROUPS=1 on the kernel's command line each
// controller of cgroup v1.
func mountCgroups() error {
	const at, flags = "/sys/fs/cgroup", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if os.Getenv("CGROUPS") != "1" {
		return unix.Mount("cgroup2", at, "cgroup2", flags, "")
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", flags, "mode=755"); err != nil {
		return fmt.Errorf("mounting %s: %w", at, err)
	}
	// Documentation/admin-guide/cgroup-v1/cgroups.rst: name, hierarchy, number of cgroups, enabled.
	text, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[3] != "1" {
			continue
		}
		dir := filepath.Join(at, f[0])
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("cgroup", dir, "cgroup", flags, f[0]); err != nil {
			// One that this kernel has for v2 alone, by CONFIG_MEMCG_V1 or CONFIG_CPUSETS_V1.
			if err := os.Remove(dir); err != nil {
				return err
			}
		}
	}
	return nil
}
