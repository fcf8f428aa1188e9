package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
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
		{name: "timens-hook createRuntime, nothing asked", runtime: b.runc, hooks: [][]string{first}},
		{name: "timens-hook createRuntime, both clocks", runtime: b.runc, hooks: [][]string{first}, asks: true},
		{name: "timens-hook poststart, both clocks", runtime: b.runc, hooks: [][]string{first, second}, asks: true},
		// The shim becomes the runtime: one that does nothing lets it be seen.
		{name: "timens-runc, nothing asked", runtime: shim, lowLevel: b.own("c-noop")},
		{name: "timens-runc, both clocks", runtime: shim, lowLevel: b.own("c-noop"), asks: true},
	}
	fmt.Print("| peak memory | | goal |\n|---|---|---|\n")
	for _, w := range ways {
		w.alone, w.id, w.bundle = true, "bench", filepath.Join(b.dir, "memory")
		most := int64(0)
		for i := range memoryRuns {
			if _, err := b.start(w, b.own("noop")); err != nil {
				return err
			}
			if i == 0 { // in which the runtime may have been asked for its version
				w.usage = nil
			}
		}
		for _, m := range w.usage {
			most = max(most, m.memory)
		}
		fmt.Printf("| %s | %.1f MiB | ≤ %d MiB %s |\n", w.name, float64(most)/1024, memoryGoal>>10, tick(most <= memoryGoal))
	}
	fmt.Println()
	return nil
}

// measurement is what the program measure tells.
type measurement struct {
	memory    int64 // KiB
	took      time.Duration
	faults    int64 // of pages, none of which were read from a disk
	processor time.Duration
	switches  int64 // how often it waited for something
}

// measured is the file for that.
func (w *way) measured() string { return filepath.Join(w.bundle, "measured") }

func readMeasured(w *way) (m measurement, err error) {
	text, err := os.ReadFile(w.measured())
	if err != nil {
		return m, err
	}
	if _, err := fmt.Sscan(string(text), &m.memory, &m.took, &m.faults, &m.processor, &m.switches); err != nil {
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
