package main

import (
	"encoding/json"
	"fmt"
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
	hooks    [][]string // createRuntime, then poststart
	asks     bool       // for both clocks
	forget   bool       // what the shim knows about the runtime
	baseline string     // name of the way it is compared with
	goal     time.Duration

	bundle string
	took   []time.Duration
}

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
		{name: "two no-op hooks", runtime: b.runc, hooks: [][]string{{noop}, {noop}}, baseline: "runc"},
		{name: "timens-hook at createRuntime and poststart, both clocks", runtime: b.runc, hooks: both, asks: true, baseline: "two no-op hooks"},
		{name: "no-op wrapper", runtime: wrap, baseline: "runc"},
		{name: "timens-runc, nothing asked", runtime: shim, baseline: "no-op wrapper", goal: 500 * time.Microsecond},
		{name: "timens-runc, both clocks", runtime: shim, asks: true, baseline: "no-op wrapper", goal: 2 * time.Millisecond},
		{name: "timens-runc, both clocks, runtime not known yet", runtime: shim, asks: true, forget: true, baseline: "no-op wrapper"},
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
	fmt.Print("| container start | median | more than | by | goal |\n|---|---|---|---|---|\n")
	for _, w := range ways {
		more, goal := "", ""
		if w.baseline != "" {
			i := slices.IndexFunc(ways, func(o *way) bool { return o.name == w.baseline })
			var differences []time.Duration
			for round, took := range w.took {
				differences = append(differences, took-ways[i].took[round])
			}
			by := median(differences)
			more = fmt.Sprintf("%s | %+.2f ms", w.baseline, ms(by))
			if w.goal > 0 {
				goal = fmt.Sprintf("≤ %+.1f ms %s", ms(w.goal), tick(by <= w.goal))
			}
		} else {
			more = "|"
		}
		fmt.Printf("| %s | %.2f ms | %s | %s |\n", w.name, ms(median(w.took)), more, goal)
	}
	fmt.Println()
	return nil
}

// start runs one container and returns how long that took.
func (b *bench) start(w *way, program string, args ...string) (time.Duration, error) {
	if err := b.writeBundle(w, program, args); err != nil {
		return 0, err
	}
	if w.forget {
		if err := os.RemoveAll("/run/oci-timens"); err != nil {
			return 0, err
		}
	}
	cmd := b.command(w)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", w.name, err, out)
	}
	return took, nil
}

func (b *bench) command(w *way) *exec.Cmd {
	cmd := exec.Command(w.runtime, "--root", filepath.Join(b.dir, "root"), "run", "--bundle", w.bundle, "bench")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "WRAPPED=" + b.runc, "TIMENS_CONFIG=" + filepath.Join(b.dir, "timens.toml")}
	return cmd
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
	for i, args := range w.hooks {
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
	toml := fmt.Sprintf("runtimes = [%q]\n", b.runc)
	if err := os.WriteFile(filepath.Join(b.dir, "timens.toml"), []byte(toml), 0o644); err != nil {
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
