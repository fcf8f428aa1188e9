package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// way is one way to start a container.
type way struct {
	name     string
	runtime  string     // the program that is run as runtime
	args     []string   // of it, before those of a runtime
	command  string     // of the runtime: run
	lowLevel string     // the one behind it, if it is a wrapper; b.runc
	env      []string   // beside what all get
	hooks    [][]string // createRuntime, then poststart
	asks     bool       // for both clocks
	byHand   bool       // config.json has the offsets already
	large    bool       // config.json is as large as an engine's
	forget   bool       // what the shim knows about the runtime
	alone    bool       // only the last hook is measured, or without one the runtime
	inTree   bool       // of Debian 13, for its crun
	inPath   bool       // the low-level runtime is found in PATH, and nothing is configured
	baseline string     // name of the way it is compared with
	goal     time.Duration
	times    float64 // the goal as a multiple of the baseline

	id, bundle string // of the container
	took       []time.Duration
	usage      []measurement // where it is alone
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
		{name: "runc, offsets in config.json", runtime: b.runc, byHand: true, baseline: "runc"},
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

// starts times `run` of a container that does nothing, from end to end.
func (b *bench) starts() error {
	ways := b.ways()
	if err := b.measure(ways); err != nil {
		return err
	}
	b.table("container start", ways)
	return nil
}

// measure starts containers in all ways, interleaved.
func (b *bench) measure(ways []*way) error {
	for i, w := range ways {
		w.id, w.bundle = "bench", filepath.Join(b.dir, fmt.Sprint("way", i))
	}
	return b.interleaved(ways, func(i int) (time.Duration, error) { return b.start(ways[i], b.own("noop")) })
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
	if w.inPath {
		if err := os.Symlink(b.lowLevel(w), filepath.Join(w.bundle, "runc")); err != nil && !os.IsExist(err) {
			return 0, err
		}
	}
	cmd := b.command(w)
	if w.alone && len(w.hooks) == 0 {
		cmd.Path, cmd.Args = b.own("measure"), append([]string{b.own("measure"), w.measured()}, cmd.Args...)
	}
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
	w.usage = append(w.usage, m)
	return m.took, err
}

func (b *bench) command(w *way) *exec.Cmd {
	args := append(slices.Clone(w.args), "--root", filepath.Join(b.dir, "root"), cmp.Or(w.command, "run"), "--bundle", w.bundle, w.id)
	cmd := exec.Command(w.runtime, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "WRAPPED=" + b.lowLevel(w), "TIMENS_CONFIG=" + filepath.Join(w.bundle, "timens.toml")}
	if w.inPath {
		cmd.Env = []string{"PATH=" + w.bundle}
	}
	cmd.Env = append(cmd.Env, w.env...)
	if w.inTree {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: b.tree}
		cmd.Dir = "/"
	}
	return cmd
}

func (b *bench) lowLevel(w *way) string {
	if w.lowLevel != "" {
		return w.lowLevel
	}
	return b.runc
}
