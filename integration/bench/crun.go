package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// crun measures what its own offsets cost, written into config.json by hand, and hook and
// shim with it. It is that of the tree, whose root it sees: Debian 12's does not set
// offsets in every container.
func (b *bench) crun() error {
	if err := b.enterable(); err != nil {
		return err
	}
	const crun = "/usr/bin/crun"
	hook, shim, noop := []string{b.own("timens-hook"), "createRuntime"}, b.own("timens-runc"), []string{b.own("noop")}
	ways := []*way{
		{name: "crun", runtime: crun},
		{name: "crun, offsets in config.json", runtime: crun, byHand: true, baseline: "crun"},
		{name: "crun, no-op hook", runtime: crun, hooks: [][]string{noop}, baseline: "crun"},
		{name: "crun, timens-hook, nothing asked", runtime: crun, hooks: [][]string{hook}, baseline: "crun, no-op hook"},
		{name: "crun, timens-hook, both clocks", runtime: crun, hooks: [][]string{hook}, asks: true, baseline: "crun, no-op hook"},
		{name: "timens-runc with crun, nothing asked", runtime: shim, lowLevel: crun, baseline: "crun"},
		{name: "timens-runc with crun, both clocks", runtime: shim, lowLevel: crun, asks: true, baseline: "crun"},
	}
	for _, w := range ways {
		w.inTree = true
	}
	if err := b.measure(ways); err != nil {
		return err
	}
	b.table("container start", ways)
	return nil
}

// enterable makes the tree a root that programs can be started in, and pivot_root(2) from:
// a mount of its own, with this machine's kernel file systems and our folder. It ends
// with our mount namespace.
func (b *bench) enterable() error {
	bind := func(from, to string) error {
		if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return &os.PathError{Op: "bind " + from + " to", Path: to, Err: err}
		}
		return nil
	}
	if err := bind(b.tree, b.tree); err != nil {
		return err
	}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run"} {
		if err := bind(dir, b.tree+dir); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", b.tree+"/tmp", "tmpfs", 0, ""); err != nil {
		return &os.PathError{Op: "mount tmpfs on", Path: b.tree + "/tmp", Err: err}
	}
	// crun refuses a hierarchy of cgroup v2 beside those of v1.
	if unified := b.tree + "/sys/fs/cgroup/unified"; exists(unified) {
		if err := unix.Mount("tmpfs", unified, "tmpfs", 0, ""); err != nil {
			return &os.PathError{Op: "mount tmpfs on", Path: unified, Err: err}
		}
	}
	inside := filepath.Join(b.tree, b.dir)
	if err := os.MkdirAll(inside, 0o755); err != nil {
		return err
	}
	return bind(b.dir, inside)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
