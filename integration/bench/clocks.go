package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"oci-timens/integration/stats"
	"oci-timens/internal/probe"
)

const (
	clockRuns  = 11
	clockCalls = "300000"
)

// clocks compares the cost of reading a clock in a container with shifted clocks
// and on the host.
func (b *bench) clocks() error {
	w := &way{name: "clocks", runtime: filepath.Join(b.bin, "timens-runc"), asks: true, id: "bench", bundle: filepath.Join(b.dir, "clocks")}
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
	fmt.Println()
	return nil
}

func medianOf(costs []probe.Cost, of func(probe.Cost) float64) float64 {
	var all []float64
	for _, c := range costs {
		all = append(all, of(c))
	}
	return stats.Median(all)
}

// faketime compares what a clock costs to read with the other way to shift it for single
// programs: a library that is put before the program's own, and so works with programs
// alone that are linked dynamically and read clocks by it.
func (b *bench) faketime() error {
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1") // the pattern is right
	if len(found) == 0 {
		return fmt.Errorf("there is no libfaketime: install Debian's package of that name")
	}
	ways := []struct {
		name string
		args []string
		env  []string
	}{
		{"by itself", []string{b.own("c-clock")}, nil},
		{"in a time namespace", []string{b.own("timensctl"), "run", "--monotonic", "+36h", "--boottime", "=0", "--", b.own("c-clock")}, nil},
		{"with libfaketime", []string{b.own("c-clock")}, []string{"LD_PRELOAD=" + found[0], "FAKETIME=+36h"}},
	}
	var read [3][2][]float64
	for range clockRuns {
		for i, w := range ways {
			cmd := exec.Command(w.args[0], append(w.args[1:], clockCalls)...)
			cmd.Env = append(os.Environ(), w.env...)
			out, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("%q: %w", cmd.Args, err)
			}
			var monotonic, boottime float64
			if _, err := fmt.Sscan(string(out), &monotonic, &boottime); err != nil {
				return fmt.Errorf("%q wrote %q: %w", cmd.Args, out, err)
			}
			read[i][0], read[i][1] = append(read[i][0], monotonic), append(read[i][1], boottime)
		}
	}
	fmt.Print("| one clock reading in C |")
	for _, w := range ways {
		fmt.Printf(" %s |", w.name)
	}
	fmt.Printf("\n|%s\n", strings.Repeat("---|", len(ways)+1))
	for clock, name := range []string{"CLOCK_MONOTONIC", "CLOCK_BOOTTIME"} {
		fmt.Printf("| %s |", name)
		for i := range ways {
			fmt.Printf(" %.1f ns |", stats.Median(read[i][clock]))
		}
		fmt.Println()
	}
	fmt.Println()
	return nil
}
