package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"oci-timens/internal/probe"
)

const (
	memoryGoal = 12 << 10 // KiB
	sizeGoal   = 5 << 20  // bytes, of timens-hook
	memoryRuns = 20
)

// memory prints the most that each program ever needed.
func (b *bench) memory() error {
	hook, shim := filepath.Join(b.bin, "timens-hook"), filepath.Join(b.bin, "timens-runc")
	first, second := []string{hook, "createRuntime"}, []string{hook, "poststart"}
	ways := []*way{
		{name: "timens-hook createRuntime, nothing asked", runtime: b.runc, hooks: [][]string{first}, alone: true},
		{name: "timens-hook createRuntime, both clocks", runtime: b.runc, hooks: [][]string{first}, asks: true, alone: true},
		{name: "timens-hook poststart, both clocks", runtime: b.runc, hooks: [][]string{first, second}, asks: true, alone: true},
		// The shim becomes the runtime: one that does nothing lets it be seen.
		{name: "timens-runc, nothing asked", runtime: shim, lowLevel: b.own("noop")},
		{name: "timens-runc, both clocks", runtime: shim, lowLevel: b.own("noop"), asks: true},
	}
	fmt.Print("| peak memory | | goal |\n|---|---|---|\n")
	for _, w := range ways {
		w.bundle = filepath.Join(b.dir, "memory")
		most := int64(0)
		for range memoryRuns {
			if err := b.startMeasured(w); err != nil {
				return err
			}
			m, err := readMeasured(w)
			if err != nil {
				return err
			}
			most = max(most, m.memory)
		}
		fmt.Printf("| %s | %.1f MiB | ≤ %d MiB %s |\n", w.name, float64(most)/1024, memoryGoal>>10, tick(most <= memoryGoal))
	}
	fmt.Println()
	return nil
}

// startMeasured starts a container whose hook, or whose runtime as a whole, is
// measured.
func (b *bench) startMeasured(w *way) error {
	if err := b.writeBundle(w, b.own("noop"), nil); err != nil {
		return err
	}
	cmd := b.command(w)
	if !w.alone {
		measured := exec.Command(b.own("measure"), append([]string{w.measured()}, cmd.Args...)...)
		measured.Env = cmd.Env
		cmd = measured
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", w.name, err, out)
	}
	return nil
}

// measurement is what the program measure tells.
type measurement struct {
	memory int64 // KiB
	took   time.Duration
}

// measured is the file for that.
func (w *way) measured() string { return filepath.Join(w.bundle, "measured") }

func readMeasured(w *way) (m measurement, err error) {
	text, err := os.ReadFile(w.measured())
	if err != nil {
		return m, err
	}
	if _, err := fmt.Sscan(string(text), &m.memory, &m.took); err != nil {
		return m, fmt.Errorf("%s: %w", w.measured(), err)
	}
	return m, os.Remove(w.measured())
}

func (b *bench) sizes() error {
	fmt.Print("| size, stripped | | goal |\n|---|---|---|\n")
	for _, name := range []string{"timens-hook", "timens-runc", "timensctl"} {
		info, err := os.Stat(filepath.Join(b.bin, name))
		if err != nil {
			return err
		}
		goal := ""
		if name == "timens-hook" {
			goal = fmt.Sprintf("≤ %d MiB %s", sizeGoal>>20, tick(info.Size() <= sizeGoal))
		}
		fmt.Printf("| %s | %.1f MiB | %s |\n", name, float64(info.Size())/(1<<20), goal)
	}
	fmt.Println()
	return nil
}

const (
	clockRuns  = 11
	clockCalls = "300000"
)

// clocks compares the cost of reading a clock in a container with shifted clocks
// and on the host.
func (b *bench) clocks() error {
	w := &way{name: "clocks", runtime: filepath.Join(b.bin, "timens-runc"), asks: true, bundle: filepath.Join(b.dir, "clocks")}
	var host, inside []probe.Cost
	for range clockRuns {
		for _, side := range []*[]probe.Cost{&host, &inside} {
			cmd := exec.Command(b.own("probe"), "bench", clockCalls)
			if side == &inside {
				if err := b.writeBundle(w, b.own("probe"), []string{"bench", clockCalls}); err != nil {
					return err
				}
				cmd = b.command(w)
			}
			out, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("%q: %w", cmd.Args, err)
			}
			var c probe.Cost
			if err := json.Unmarshal(out, &c); err != nil {
				return fmt.Errorf("the probe wrote %q: %w", out, err)
			}
			*side = append(*side, c)
		}
	}
	fmt.Print("| one clock reading | host | container | ratio |\n|---|---|---|---|\n")
	for _, m := range []struct {
		name string
		of   func(probe.Cost) float64
	}{
		{"CLOCK_MONOTONIC, vDSO", func(c probe.Cost) float64 { return c.MonotonicVDSO }},
		{"CLOCK_BOOTTIME, vDSO", func(c probe.Cost) float64 { return c.BoottimeVDSO }},
		{"CLOCK_MONOTONIC, system call", func(c probe.Cost) float64 { return c.MonotonicRaw }},
		{"CLOCK_BOOTTIME, system call", func(c probe.Cost) float64 { return c.BoottimeRaw }},
	} {
		h, i := medianOf(host, m.of), medianOf(inside, m.of)
		fmt.Printf("| %s | %.1f ns | %.1f ns | %.2f |\n", m.name, h, i, i/h)
	}
	return nil
}

func medianOf(costs []probe.Cost, of func(probe.Cost) float64) float64 {
	var all []float64
	for _, c := range costs {
		all = append(all, of(c))
	}
	return median(all)
}
