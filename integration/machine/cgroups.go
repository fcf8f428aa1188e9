package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const hierarchies = "/sys/fs/cgroup"

// cgroup is a machine's place in one hierarchy of the machine below.
type cgroup struct {
	Dir     string // on the machine below
	Name    string // of the folder in /sys/fs/cgroup, "" for cgroup2 alone
	Options string // for mounting, "" for cgroup2
}

// newCgroups makes a cgroup in each hierarchy. Where cgroup v1 and v2 stand side
// by side, v2 is left out: no engine uses it there, and crun refuses to start.
func newCgroups(name string) (made []cgroup, err error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var all []cgroup
	for line := range strings.Lines(string(text)) {
		// cgroups(7): hierarchy-ID:controller-list:cgroup-path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("/proc/self/cgroup: %q", line)
		}
		c := cgroup{Name: strings.TrimPrefix(fields[1], "name="), Options: fields[1]}
		if strings.HasPrefix(fields[1], "name=") {
			c.Options = "none," + fields[1]
		}
		c.Dir = filepath.Join(hierarchies, c.Name, fields[2], name)
		all = append(all, c)
	}
	if len(all) > 1 {
		all = slices.DeleteFunc(all, func(c cgroup) bool { return c.Name == "" })
	}
	for _, c := range all {
		if err := c.make(); err != nil {
			return nil, errors.Join(err, removeCgroups(made))
		}
		made = append(made, c)
	}
	return made, nil
}

func (c cgroup) make() error {
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		return fmt.Errorf("making a cgroup: %w", err)
	}
	if c.Name != "cpuset" {
		return nil
	}
	// cpuset(7): a new one is empty, and takes no process.
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(c.Dir), f))
		if err == nil {
			err = os.WriteFile(filepath.Join(c.Dir, f), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// procs is where a process of the machine is written to. Processes may not stand
// in a cgroup2 that passes controllers on: there they have one of their own.
func (c cgroup) procs() string {
	if c.Options == "" {
		return filepath.Join(c.Dir, "machine", "cgroup.procs")
	}
	return filepath.Join(c.Dir, "cgroup.procs")
}

func procsFiles(all []cgroup) string {
	var files []string
	for _, c := range all {
		files = append(files, c.procs())
	}
	return strings.Join(files, " ")
}

// enterCgroups moves the calling process, and makes its cgroups the roots that
// it sees.
func enterCgroups(all []cgroup) error {
	for _, c := range all {
		if err := os.WriteFile(filepath.Join(c.Dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("unsharing cgroups: %w", err)
	}
	for _, c := range all {
		if c.Options == "" {
			if err := os.Mkdir(filepath.Dir(c.procs()), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(c.procs(), []byte("0"), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func mountCgroups(at string, all []cgroup) error {
	if len(all) == 1 && all[0].Options == "" {
		return unix.Mount("cgroup2", at, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	for _, c := range all {
		dir := filepath.Join(at, c.Name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("cgroup", dir, "cgroup", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, c.Options); err != nil {
			return fmt.Errorf("mounting cgroup %s: %w", c.Name, err)
		}
	}
	return nil
}

// removeCgroups removes the machine's cgroups with all below them, once their
// processes are gone.
func removeCgroups(all []cgroup) error {
	var errs []error
	for _, c := range all {
		var err error
		for range 200 {
			if err = removeTree(c.Dir); err == nil {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	slices.Reverse(dirs)
	for _, d := range dirs {
		if err := unix.Rmdir(d); err != nil && err != unix.ENOENT {
			return fmt.Errorf("removing cgroup %s: %w", d, err)
		}
	}
	return nil
}
