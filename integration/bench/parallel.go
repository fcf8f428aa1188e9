package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"oci-timens/integration/stats"
)

// atOnce is how many containers are started together, and how many of these rounds make
// one of the others.
var atOnce = []struct{ containers, rounds int }{{1, 1}, {10, 10}, {100, 40}}

// parallel measures how cost grows with the number of containers that start at once: the
// time until the last of them has ended.
func (b *bench) parallel() error {
	hook, shim, noop := filepath.Join(b.bin, "timens-hook"), filepath.Join(b.bin, "timens-runc"), b.own("noop")
	rows := []way{
		{name: "runc", runtime: b.runc},
		{name: "runc, offsets in config.json", runtime: b.runc, byHand: true, baseline: "runc"},
		{name: "no-op hook", runtime: b.runc, hooks: [][]string{{noop}}, baseline: "runc"},
		{name: "timens-hook, both clocks", runtime: b.runc, hooks: [][]string{{hook, "createRuntime"}}, asks: true, baseline: "runc"},
		{name: "timens-runc, nothing asked", runtime: shim, baseline: "runc"},
		{name: "timens-runc, both clocks", runtime: shim, asks: true, baseline: "runc"},
	}
	cells := make([][]string, len(rows))
	head := "| started at once |"
	for _, n := range atOnce {
		head += fmt.Sprintf(" %d | than %s, for each |", n.containers, rows[0].name)
		some := *b
		some.runs = max(3, b.runs/n.rounds)
		ways := make([]*way, len(rows))
		for i := range rows {
			w := rows[i]
			ways[i] = &w
		}
		if err := some.interleaved(ways, func(i int) (time.Duration, error) { return b.startMany(ways[i], n.containers) }); err != nil {
			return err
		}
		for i, w := range ways {
			more := ""
			if w.baseline != "" {
				differences := w.differences(ways)
				each := func(d time.Duration) float64 { return ms(d) / float64(n.containers) }
				more = fmt.Sprintf("%+.2f ms", each(stats.Median(differences)))
				if low, high, ok := stats.Interval(differences); ok {
					more += fmt.Sprintf(" (%+.2f … %+.2f)", each(low), each(high))
				}
			}
			cells[i] = append(cells[i], fmt.Sprintf("%.1f ms | %s", ms(stats.Median(w.took)), more))
		}
	}
	fmt.Printf("%s\n|%s\n", head, strings.Repeat("---|", 2*len(atOnce)+1))
	for i, w := range rows {
		fmt.Printf("| %s | %s |\n", w.name, strings.Join(cells[i], " | "))
	}
	fmt.Println()
	return nil
}

// startMany runs n containers at once.
func (b *bench) startMany(w *way, n int) (time.Duration, error) {
	ways := make([]way, n)
	for i := range ways {
		ways[i] = *w
		ways[i].id = fmt.Sprint("bench", i)
		ways[i].bundle = filepath.Join(b.dir, ways[i].id)
		if err := b.writeBundle(&ways[i], b.own("noop"), nil); err != nil {
			return 0, err
		}
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	began := time.Now()
	for i := range ways {
		all.Go(func() {
			if out, err := b.command(&ways[i]).CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("%w\n%s", err, out)
			}
		})
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}
