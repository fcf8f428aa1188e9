package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
}

func podmanTrees() []podmanTree {
	hook := podmanWay{"--mode=hook", []string{"--mode=hook"}}
	runtime := podmanWay{"--mode=runtime", []string{"--mode=runtime"}}
	always := podmanWay{"--set-default", []string{"--set-default"}}
	precreate := podmanWay{"--mode=precreate", []string{"--mode=precreate"}}
	plain, again := podmanWay{name: "not configured"}, podmanWay{name: "not configured, another machine"}
	return []podmanTree{
		{"this machine", "/", []podmanWay{plain, again, hook, runtime, always}},
		{"Debian 13", "../.tools/debian13-1", []podmanWay{plain, again, hook, runtime, precreate, always}},
	}
}

// podman measures what containers without annotations pay for a podman that is set
// up, in machines of their own that take turns. As whole starts vary by more than
// what is looked for, the shim's part is measured by itself, too.
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
		return b.shimAlone(s, measure, noop)
	})
}

// podmanStarts times podman run of a container without annotations.
func (b *bench) podmanStarts(s *setting, tree podmanTree, archive, measure string) error {
	path, err := filepath.Abs(tree.tree)
	if err != nil {
		return err
	}
	var ways, used []*way // by the clock, and in processor time
	var machines []*machine.Machine
	for _, w := range tree.ways {
		m := machine.New(s, path)
		m.Install()
		m.Copy(measure, "/opt/measure", 0o755)
		m.Copy(archive, "/image.tar", 0o644)
		m.Write("/etc/containers/containers.conf.d/10-machine.conf", podmanSettings, 0o644)
		m.Run("podman", "load", "-q", "-i", "/image.tar")
		// podman's own, so that not two runtimes are compared.
		m.Write("/etc/oci-timens/config.toml", "runtimes = [\"crun\"]\n", 0o644)
		if w.configure != nil {
			m.Run(append([]string{"timensctl", "configure", "podman"}, w.configure...)...)
		}
		machines = append(machines, m)
		ways = append(ways, &way{name: w.name, baseline: tree.ways[0].name, goal: engineGoal})
		used = append(used, &way{name: w.name, baseline: tree.ways[0].name, goal: engineGoal})
	}
	ways[0].baseline, used[0].baseline = "", ""
	version := strings.TrimPrefix(machines[0].Run("podman", "--version"), "podman version ")
	runtime := machines[0].Run("podman", "info", "--format={{.Host.OCIRuntime.Name}}")
	round := make([]int, len(ways))
	err = b.interleaved(ways, func(i int) (took time.Duration, err error) {
		cpu, err := processorTime(machines[i], func() error {
			took, err = timed(machines[i], "podman", "run", "--rm", "--entrypoint=/bin/sh", podmanImage, "-c", ":")
			return err
		})
		if round[i]++; round[i] > warmUp {
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

// shimAlone times the shim in front of a runtime that does nothing, against that
// runtime. podman starts a container with two commands of its runtime.
func (b *bench) shimAlone(s *setting, measure, noop string) error {
	m := machine.New(s, "/")
	m.Install()
	m.Copy(measure, "/opt/measure", 0o755)
	m.Copy(noop, "/opt/noop", 0o755)
	m.Write("/etc/oci-timens/config.toml", "runtimes = [\"/opt/noop\"]\n", 0o644)
	m.Write("/bundle/config.json", plainConfig(m, s), 0o644)
	create := []string{"--root=/run/x", "create", "--bundle=/bundle", "--pid-file=/run/pid", "x"}
	start := []string{"--root=/run/x", "start", "x"}
	ways := []*way{
		{name: "a runtime that does nothing: create, start"},
		{name: "timens-runc in front of it: create, start", baseline: "a runtime that does nothing: create, start", goal: engineGoal},
	}
	err := b.interleaved(ways, func(i int) (time.Duration, error) {
		program := []string{"/opt/noop", "/usr/bin/timens-runc"}[i]
		first, err := timed(m, append([]string{program}, create...)...)
		if err != nil {
			return 0, err
		}
		second, err := timed(m, append([]string{program}, start...)...)
		return first + second, err
	})
	if err != nil {
		return err
	}
	b.table("the shim's part of --set-default", ways)
	return nil
}

// plainConfig is a config.json as podman writes it for a container without annotations.
func plainConfig(m *machine.Machine, s *setting) string {
	m.Copy(machine.Image(s, podmanImage), "/image.tar", 0o644)
	m.Write("/etc/containers/containers.conf.d/10-machine.conf", podmanSettings, 0o644)
	m.Run("podman", "load", "-q", "-i", "/image.tar")
	m.Run("podman", "run", "--detach", "--name=c", podmanImage)
	text, err := os.ReadFile(m.Path(m.Run("podman", "inspect", "--format={{.OCIConfigPath}}", "c")))
	if err != nil {
		s.Fatal(err)
	}
	m.Run("podman", "rm", "--force", "--time=0", "c")
	return string(text)
}

// interleaved times all ways in turn, in a new order each round.
func (b *bench) interleaved(ways []*way, run func(int) (time.Duration, error)) error {
	for round := range warmUp + b.runs {
		for _, i := range rand.Perm(len(ways)) {
			took, err := run(i)
			if err != nil {
				return fmt.Errorf("%s: %w", ways[i].name, err)
			}
			if round >= warmUp {
				ways[i].took = append(ways[i].took, took)
			}
		}
	}
	return nil
}

func (b *bench) table(title string, ways []*way) {
	fmt.Printf("| %s | median | ratio | more than | by | 95 %% sure | goal |\n|---|---|---|---|---|---|---|\n", title)
	for _, w := range ways {
		fmt.Printf("| %s | %.2f ms | %s | %s |\n", w.name, ms(median(w.took)), w.ratio(ways), w.compared(ways))
	}
	fmt.Println()
}

// ratio is the median of those to the baseline within each round.
func (w *way) ratio(ways []*way) string {
	base := slices.IndexFunc(ways, func(o *way) bool { return o.name == w.baseline })
	if base < 0 {
		return ""
	}
	var all []float64
	for round, took := range w.took {
		all = append(all, float64(took)/float64(ways[base].took[round]))
	}
	return fmt.Sprintf("%.3f", median(all))
}

// timed runs a command in a machine and returns how long it took there.
func timed(m *machine.Machine, args ...string) (time.Duration, error) {
	const file = "/run/measured"
	if _, err := m.Try(append([]string{"/opt/measure", file}, resolved(args)...)...); err != nil {
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

// resolved names the program by its path, as measure wants it.
func resolved(args []string) []string {
	if !strings.HasPrefix(args[0], "/") {
		return append([]string{"/usr/bin/" + args[0]}, args[1:]...)
	}
	return args
}
