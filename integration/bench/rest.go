package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	fmt.Print("| peak memory | | goal |\n|---|---|---|\n")
	for _, m := range []struct {
		name string
		hook string // stage
		asks bool
	}{
		{"timens-hook createRuntime, nothing asked", "createRuntime", false},
		{"timens-hook createRuntime, both clocks", "createRuntime", true},
		{"timens-hook poststart, both clocks", "poststart", true},
		{"timens-runc, nothing asked", "", false},
		{"timens-runc, both clocks", "", true},
	} {
		file := filepath.Join(b.dir, "rss")
		w := &way{name: m.name, runtime: b.runc, asks: m.asks, bundle: filepath.Join(b.dir, "memory")}
		inner := *b
		switch m.hook {
		case "createRuntime":
			w.hooks = [][]string{{b.own("rss"), file, hook, m.hook}}
		case "poststart":
			w.hooks = [][]string{{hook, "createRuntime"}, {b.own("rss"), file, hook, m.hook}}
		default:
			// The shim becomes the runtime: a runtime that does nothing leaves its
			// own memory to be seen.
			inner.runc = b.own("noop")
			w.runtime = shim
		}
		for range memoryRuns {
			if err := inner.startMeasured(w, file, m.hook == ""); err != nil {
				return err
			}
		}
		most, err := largest(file)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %.1f MiB | ≤ %d MiB %s |\n", m.name, float64(most)/1024, memoryGoal>>10, tick(most <= memoryGoal))
	}
	fmt.Println()
	return nil
}

// startMeasured starts a container; the hooks measure themselves, the shim is
// measured from outside.
func (b *bench) startMeasured(w *way, file string, outside bool) error {
	if !outside {
		_, err := b.start(w, b.own("noop"))
		return err
	}
	if err := b.writeBundle(w, b.own("noop"), nil); err != nil {
		return err
	}
	cmd := b.command(w)
	measured := exec.Command(b.own("rss"), append([]string{file}, cmd.Args...)...)
	measured.Env = cmd.Env
	if out, err := measured.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", w.name, err, out)
	}
	return nil
}

// largest reads the numbers in a file and removes it.
func largest(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var all []int64
	for _, word := range strings.Fields(string(text)) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return 0, err
		}
		all = append(all, n)
	}
	return slices.Max(all), os.Remove(file)
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
