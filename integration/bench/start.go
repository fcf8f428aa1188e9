package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// way is one way to start a container.
type way struct {
	name     string
	runtime  string     // the program that is run as runtime
	lowLevel string     // the one behind it, if it is a wrapper; b.runc
	hooks    [][]string // createRuntime, then poststart
	asks     bool       // for both clocks
	byHand   bool       // config.json has the offsets already
	forget   bool       // what the shim knows about the runtime
	alone    bool       // only the last hook is measured
	baseline string     // name of the way it is compared with
	goal     time.Duration

	bundle string
	took   []time.Duration
}

// ways has everything in a whole container start, as users see it, and, as runc
// varies by more than the goals, hook and shim by themselves as well.
func (b *bench) ways() []*way {
	hook, noop := filepath.Join(b.bin, "timens-hook"), b.own("noop")
	shim, wrap := filepath.Join(b.bin, "timens-runc"), b.own("noopwrap")
	ours := [][]string{{hook, "createRuntime"}}
	both := append(slices.Clone(ours), []string{hook, "poststart"})
	return []*way{
		{name: "runc", runtime: b.runc},
		{name: "no-op hook", runtime: b.runc, hooks: [][]string{{noop}}, baseline: "runc"},
		{name: "timens-hook, nothing asked", runtime: b.runc, hooks: ours, baseline: "no-op hook", goal: time.Millisecond},
		{name: "timens-hook, both clocks", runtime: b.runc, hooks: ours, asks: true, baseline: "no-op hook", goal: time.Millisecond},
		{name: "no-op hook, alone", runtime: b.runc, hooks: [][]string{{noop}}, alone: true},
		{name: "timens-hook, nothing asked, alone", runtime: b.runc, hooks: ours, alone: true, baseline: "no-op hook, alone", goal: time.Millisecond},
		{name: "timens-hook, both clocks, alone", runtime: b.runc, hooks: ours, asks: true, alone: true, baseline: "no-op hook, alone", goal: time.Millisecond},
		{name: "timens-hook at poststart, both clocks, alone", runtime: b.runc, hooks: both, asks: true, alone: true, baseline: "no-op hook, alone"},
		{name: "two no-op hooks", runtime: b.runc, hooks: [][]string{{noop}, {noop}}, baseline: "runc"},
		{name: "timens-hook at createRuntime and poststart, both clocks", runtime: b.runc, hooks: both, asks: true, baseline: "two no-op hooks"},
		{name: "no-op wrapper", runtime: wrap, baseline: "runc"},
		{name: "no-op wrapper, offsets in config.json", runtime: wrap, byHand: true, baseline: "no-op wrapper"},
		{name: "timens-runc, nothing asked", runtime: shim, baseline: "no-op wrapper", goal: 500 * time.Microsecond},
		{name: "timens-runc, both clocks", runtime: shim, asks: true, baseline: "no-op wrapper", goal: 2 * time.Millisecond},
		{name: "timens-runc, both clocks, runtime not known yet", runtime: shim, asks: true, forget: true, baseline: "no-op wrapper"},
		{name: "no-op wrapper, no-op runtime", runtime: wrap, lowLevel: noop},
		{name: "timens-runc, nothing asked, no-op runtime", runtime: shim, lowLevel: noop, baseline: "no-op wrapper, no-op runtime", goal: 500 * time.Microsecond},
		{name: "timens-runc, both clocks, no-op runtime", runtime: shim, lowLevel: noop, asks: true, baseline: "no-op wrapper, no-op runtime", goal: 2 * time.Millisecond},
	}
}

// warmUp rounds are not counted.
const warmUp = 5

// starts times `run` of a container that does nothing, from end to end.
func (b *bench) starts() error {
	ways := b.ways()
	for i, w := range ways {
		w.bundle = filepath.Join(b.dir, fmt.Sprint("way", i))
	}
	for round := range warmUp + b.runs {
		for _, i := range rand.Perm(len(ways)) {
			took, err := b.start(ways[i], b.own("noop"))
			if err != nil {
				return err
			}
			if round >= warmUp {
				ways[i].took = append(ways[i].took, took)
			}
		}
	}
	fmt.Print("| container start | median | more than | by | 95 % sure | goal |\n|---|---|---|---|---|---|\n")
	for _, w := range ways {
		fmt.Printf("| %s | %.2f ms | %s |\n", w.name, ms(median(w.took)), w.compared(ways))
	}
	fmt.Println()
	return nil
}

// compared tells by how much w takes longer than its baseline, by the median of
// the differences within each round. The truth is between two of the sorted
// differences with a certainty that follows from their number alone.
func (w *way) compared(ways []*way) string {
	if w.baseline == "" {
		return "| | |"
	}
	base := ways[slices.IndexFunc(ways, func(o *way) bool { return o.name == w.baseline })]
	var sorted []time.Duration
	for round, took := range w.took {
		sorted = append(sorted, took-base.took[round])
	}
	slices.Sort(sorted)
	n := len(sorted)
	margin := int(0.98 * math.Sqrt(float64(n)))
	low, high := sorted[max(0, n/2-margin)], sorted[min(n-1, n/2+margin)]
	goal := ""
	if w.goal > 0 {
		goal = fmt.Sprintf("≤ %+.1f ms %s", ms(w.goal), tick(sorted[n/2] <= w.goal))
		if low <= w.goal && w.goal < high {
			goal += " (not sure: more RUNS, or a quieter machine)"
		}
	}
	return fmt.Sprintf("%s | %+.2f ms | %+.2f … %+.2f | %s", w.baseline, ms(sorted[n/2]), ms(low), ms(high), goal)
}

// start runs one container and returns how long that took.
func (b *bench) start(w *way, program string, args ...string) (time.Duration, error) {
	if err := b.writeBundle(w, program, args); err != nil {
		return 0, err
	}
	if w.forget {
		// The others keep theirs.
		const known, aside = "/run/oci-timens", "/run/aside"
		if err := os.Rename(known, aside); err != nil && !os.IsNotExist(err) {
			return 0, err
		}
		defer func() {
			_ = os.RemoveAll(known)
			_ = os.Rename(aside, known) // was not there the first time
		}()
	}
	cmd := b.command(w)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", w.name, err, out)
	}
	if !w.alone {
		return took, nil
	}
	m, err := readMeasured(w)
	return m.took, err
}

func (b *bench) command(w *way) *exec.Cmd {
	cmd := exec.Command(w.runtime, "--root", filepath.Join(b.dir, "root"), "run", "--bundle", w.bundle, "bench")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "WRAPPED=" + b.lowLevel(w), "TIMENS_CONFIG=" + filepath.Join(w.bundle, "timens.toml")}
	return cmd
}

func (b *bench) lowLevel(w *way) string {
	if w.lowLevel != "" {
		return w.lowLevel
	}
	return b.runc
}

// writeBundle writes config.json anew: the shim has edited it.
func (b *bench) writeBundle(w *way, program string, args []string) error {
	inside := "/" + filepath.Base(program)
	s := specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{Args: append([]string{inside}, args...), Cwd: "/"},
		Mounts:  []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}, {Destination: "/dev", Type: "tmpfs", Source: "tmpfs"}},
		Linux: &specs.Linux{CgroupsPath: cgroup + "/bench", Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}}},
	}
	if w.asks {
		s.Annotations = map[string]string{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"}
	}
	if w.byHand { // what is left is runc's own work on a time namespace
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 36 * 3600}, "boottime": {Secs: 36 * 3600}}
	}
	for i, args := range w.hooks {
		if w.alone && i == len(w.hooks)-1 {
			args = append([]string{b.own("measure"), w.measured()}, args...)
		}
		hook := []specs.Hook{{Path: args[0], Args: args, Env: b.command(w).Env}}
		if s.Hooks == nil {
			s.Hooks = &specs.Hooks{}
		}
		if i == 0 {
			s.Hooks.CreateRuntime = hook
		} else {
			s.Hooks.Poststart = hook
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for _, d := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(w.bundle, "rootfs", d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Link(program, filepath.Join(w.bundle, "rootfs", inside)); err != nil && !os.IsExist(err) {
		return err
	}
	toml := fmt.Sprintf("runtimes = [%q]\n", b.lowLevel(w))
	if err := os.WriteFile(filepath.Join(w.bundle, "timens.toml"), []byte(toml), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.bundle, "config.json"), text, 0o644)
}

const cgroup = "/timens-bench"

func removeCgroups() {
	parents, _ := filepath.Glob("/sys/fs/cgroup/*" + cgroup) // the pattern is right
	for _, p := range append(parents, "/sys/fs/cgroup"+cgroup) {
		_ = os.Remove(p) // is not there in every hierarchy
	}
}

func median[T int | int64 | float64 | time.Duration](of []T) T {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func tick(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}
