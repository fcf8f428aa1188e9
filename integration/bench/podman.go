package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"oci-timens/integration/machine"
)

const (
	podmanImage    = "localhost/probe:latest"
	podmanSettings = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "host"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`
	engineGoal = time.Millisecond
)

// podmanTree is a distribution, and the ways in which its podman can be set up.
type podmanTree struct {
	name, tree string
	ways       []podmanWay
}

type podmanWay struct {
	name      string
	configure []string // arguments of timensctl configure podman, nil for none
	times     int      // how often podman is to read what was configured, 0 for once
}

func podmanTrees() []podmanTree {
	plain, again := podmanWay{"not configured", nil, 0}, podmanWay{"not configured, once more", nil, 0}
	hook := podmanWay{"--mode=hook", []string{"--mode=hook"}, 0}
	often := podmanWay{fmt.Sprintf("--mode=hook, %d times over", over), hook.configure, over}
	runtime := podmanWay{"--mode=runtime", []string{"--mode=runtime"}, 0}
	always := podmanWay{"--set-default", []string{"--set-default"}, 0}
	precreate := podmanWay{"--mode=precreate", []string{"--mode=precreate"}, 0}
	return []podmanTree{
		{"this machine", "/", []podmanWay{plain, again, hook, often, runtime, always}},
		{"Debian 13", "../.tools/debian13-1", []podmanWay{plain, again, hook, often, runtime, precreate, always}},
	}
}

// over is how often podman has to read the files of its default mode for the machine's own
// ups and downs to be small beside that.
const over = 50

// multiply has podman read what is configured for its default mode so many times.
func multiply(m *machine.Machine, times int) {
	const script = `set -e; cd /etc/containers
for d in oci/hooks.d containers.conf.d; do
	rm -f $d/60-copy-*
	i=1; while [ $i -lt $1 ]; do for f in $d/50-oci-timens* $d/oci-timens*; do [ ! -e $f ] || cp $f $d/60-copy-$i-${f##*/}; done; i=$((i+1)); done
done`
	m.Run("sh", "-c", script, "sh", fmt.Sprint(times))
}

// podman measures what containers without annotations pay for a podman that is set
// up. It is set up anew for each start, as two machines, alike as they are, differ by
// more than what is looked for; so do whole starts, and the shim's part is measured
// by itself, too.
func (b *bench) podman() error {
	return inSetting(func(s *setting) error {
		s.Cleanup(func() { _ = os.RemoveAll(machine.Programs(s).Dir) })
		measure := filepath.Join(s.TempDir(), "measure")
		noop := filepath.Join(s.TempDir(), "noop")
		for _, path := range []string{measure, noop} {
			build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/"+filepath.Base(path))
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				return fmt.Errorf("building %s: %w\n%s", path, err, out)
			}
		}
		archive := machine.Image(s, podmanImage)
		for _, tree := range podmanTrees() {
			if err := b.podmanStarts(s, tree, archive, measure); err != nil {
				return err
			}
		}
		return b.shimAlone(s, archive, noop)
	})
}

// podmanStarts times podman run of a container without annotations.
func (b *bench) podmanStarts(s *setting, tree podmanTree, archive, measure string) error {
	path, err := filepath.Abs(tree.tree)
	if err != nil {
		return err
	}
	m := podmanMachine(s, path, archive)
	m.Copy(measure, "/opt/measure", 0o755)
	// podman's own, so that not two runtimes are compared.
	m.Write("/etc/oci-timens/config.toml", "runtimes = [\"crun\"]\n", 0o644)
	version := strings.TrimPrefix(m.Run("podman", "--version"), "podman version ")
	runtime := m.Run("podman", "info", "--format={{.Host.OCIRuntime.Name}}")
	var ways, used []*way // by the clock, and in processor time
	for _, w := range tree.ways {
		goal := engineGoal * time.Duration(max(1, w.times))
		ways = append(ways, &way{name: w.name, baseline: tree.ways[0].name, goal: goal})
		used = append(used, &way{name: w.name, baseline: tree.ways[0].name, goal: goal})
	}
	ways[0].baseline, used[0].baseline = "", ""
	round := make([]int, len(ways))
	err = b.interleaved(ways, func(i int) (took time.Duration, err error) {
		args := tree.ways[i].configure
		if args == nil {
			args = []string{"--remove"}
		}
		multiply(m, 0)
		m.Run(append([]string{"timensctl", "configure", "podman"}, args...)...)
		multiply(m, tree.ways[i].times)
		cpu, err := processorTime(m, func() error {
			took, err = timed(m, "/usr/bin/podman", "run", "--rm", "--entrypoint=/bin/sh", podmanImage, "-c", ":")
			return err
		})
		if round[i]++; round[i] > b.warmUp() {
			used[i].took = append(used[i].took, cpu)
		}
		return took, err
	})
	if err != nil {
		return err
	}
	title := fmt.Sprintf("podman %s with %s, podman run --rm without annotations", version, runtime)
	b.table(title, ways)
	b.table(title+": processor time of all processes", used)
	return nil
}

// idle is more than what a machine needs in 20 ms in which nothing happens.
const idle = 500 * time.Microsecond

// processorTime tells what a machine's processes used while f ran, and afterwards:
// podman leaves it to another to clean up. It depends less than the time of day on
// what else runs.
func processorTime(m *machine.Machine, f func() error) (time.Duration, error) {
	before, err := used(m)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	for last := before; ; time.Sleep(20 * time.Millisecond) {
		now, err := used(m)
		if err != nil || now-last < idle {
			return now - before, err
		}
		last = now
	}
}

// used is all that a machine has used so far, from cgroup v1 or v2.
func used(m *machine.Machine) (time.Duration, error) {
	text, err := os.ReadFile(m.Path("/sys/fs/cgroup/cpuacct/cpuacct.usage"))
	unit := time.Nanosecond
	if os.IsNotExist(err) {
		text, err = os.ReadFile(m.Path("/sys/fs/cgroup/cpu.stat"))
		_, after, _ := strings.Cut(string(text), "usage_usec ")
		text, unit = []byte(after), time.Microsecond
	}
	if err != nil {
		return 0, err
	}
	var n time.Duration
	_, err = fmt.Sscan(string(text), &n)
	return n * unit, err
}

// podmanMachine is one with the programs under test, and the probe's image.
func podmanMachine(s *setting, tree, archive string) *machine.Machine {
	m := machine.New(s, tree)
	m.Install()
	m.Copy(archive, "/image.tar", 0o644)
	m.Write("/etc/containers/containers.conf.d/10-machine.conf", podmanSettings, 0o644)
	m.Run("podman", "load", "-q", "-i", "/image.tar")
	return m
}

// shimAlone times the shim in front of a runtime that does nothing, against that
// runtime. podman starts a container with two commands of its runtime. Not in a
// machine: programs in memory start more slowly than from a disk.
func (b *bench) shimAlone(s *setting, archive, noop string) error {
	b.dir = s.TempDir()
	m := podmanMachine(s, "/", archive)
	m.Run("podman", "run", "--detach", "--name=c", podmanImage)
	config, err := os.ReadFile(m.Path(m.Run("podman", "inspect", "--format={{.OCIConfigPath}}", "c")))
	m.Run("podman", "rm", "--force", "--time=0", "c")
	if err != nil {
		return err
	}
	if err := b.install([]string{machine.Programs(s).Shim, machine.Programs(s).Hook, noop}); err != nil {
		return err
	}
	toml := filepath.Join(b.dir, "timens.toml")
	if err := os.WriteFile(filepath.Join(b.dir, "config.json"), config, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(toml, []byte(fmt.Sprintf("runtimes = [%q]\n", b.own("noop"))), 0o644); err != nil {
		return err
	}
	if err := os.Symlink("noop", b.own("runc")); err != nil {
		return err
	}
	const nothing = "a runtime that does nothing: create, start"
	ways := []*way{
		{name: nothing},
		{name: "timens-runc in front of it: create, start", baseline: nothing, goal: engineGoal},
		{name: "the same, with a configuration file", baseline: nothing, goal: engineGoal},
	}
	err = b.interleaved(ways, func(i int) (took time.Duration, _ error) {
		for _, args := range [][]string{{"create", "--bundle=" + b.dir, "--pid-file=" + b.own("pid"), "x"}, {"start", "x"}} {
			cmd := exec.Command(b.own([]string{"noop", "timens-runc", "timens-runc"}[i]), append([]string{"--root=" + b.own("root")}, args...)...)
			cmd.Env = []string{"PATH=" + filepath.Dir(b.own("runc"))}
			if i == 2 {
				cmd.Env = append(cmd.Env, "TIMENS_CONFIG="+toml)
			}
			began := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				return 0, fmt.Errorf("%q: %w\n%s", cmd.Args, err, out)
			}
			took += time.Since(began)
		}
		return took, nil
	})
	if err != nil {
		return err
	}
	b.table("the shim's part of --set-default", ways)
	return nil
}

// timed runs a command in a machine and returns how long it took there.
func timed(m *machine.Machine, args ...string) (time.Duration, error) {
	const file = "/run/measured"
	if _, err := m.Try(append([]string{"/opt/measure", file}, args...)...); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(m.Path(file))
	if err != nil {
		return 0, err
	}
	var memory, took int64
	if _, err := fmt.Sscan(string(text), &memory, &took); err != nil {
		return 0, fmt.Errorf("%s: %q: %w", file, text, err)
	}
	return time.Duration(took), os.Remove(m.Path(file))
}
