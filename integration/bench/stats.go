package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"oci-timens/integration/stats"
)

// warmUp is how many rounds are not counted.
func (b *bench) warmUp() int { return min(5, max(1, b.runs/10)) }

// interleaved times all ways in turn, in a new order each round.
func (b *bench) interleaved(ways []*way, run func(int) (time.Duration, error)) error {
	for round := range b.warmUp() + b.runs {
		for _, i := range rand.Perm(len(ways)) {
			took, err := run(i)
			if err != nil {
				return fmt.Errorf("%s: %w", ways[i].name, err)
			}
			if round >= b.warmUp() {
				ways[i].took = append(ways[i].took, took)
			}
		}
	}
	return nil
}

func (b *bench) table(title string, ways []*way) {
	fmt.Printf("| %s | median | ratio | more than | by | 95 %% sure | goal |\n|---|---|---|---|---|---|---|\n", title)
	for _, w := range ways {
		fmt.Printf("| %s | %.2f ms | %s | %s |\n", w.name, ms(stats.Median(w.took)), w.ratio(ways), w.compared(ways))
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
	text := fmt.Sprintf("%.3f", stats.Median(all))
	if w.times > 0 {
		text += fmt.Sprintf(" (≤ %.1f %s)", w.times, tick(stats.Median(all) <= w.times))
	}
	return text
}

// differences are by how much w takes longer than its baseline, in each round.
func (w *way) differences(ways []*way) (all []time.Duration) {
	base := ways[slices.IndexFunc(ways, func(o *way) bool { return o.name == w.baseline })]
	for round, took := range w.took {
		all = append(all, took-base.took[round])
	}
	return all
}

// compared tells the difference, and whether it is within the goal.
func (w *way) compared(ways []*way) string {
	if w.baseline == "" {
		return "| | |"
	}
	differences := w.differences(ways)
	by, sure, goal := stats.Median(differences), "–", ""
	low, high, ok := stats.Interval(differences)
	if ok {
		sure = fmt.Sprintf("%+.2f … %+.2f", ms(low), ms(high))
	}
	if w.goal > 0 {
		goal = fmt.Sprintf("≤ %+.1f ms %s", ms(w.goal), tick(by <= w.goal))
		if !ok || low <= w.goal && w.goal < high {
			goal += " (not sure: more RUNS, or a quieter machine)"
		}
	}
	return fmt.Sprintf("%s | %+.2f ms | %s | %s", w.baseline, ms(by), sure, goal)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func tick(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}
