package criu

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/integration/stats"
)

var runs = flag.Int("runs", 3, "how often each way is gone by the tests that repeat it")

// extremes are the worst of many steps.
type extremes struct {
	runs             int
	least, most, off time.Duration
}

func (e *extremes) add(s step) {
	if e.runs == 0 {
		e.least = s.mono
	}
	e.runs++
	e.least, e.most = min(e.least, s.mono), max(e.most, s.mono)
	e.off = max(e.off, (s.boot - s.real).Abs())
}

func (e extremes) String() string {
	return fmt.Sprintf("%d times: CLOCK_MONOTONIC stepped by %v to %v, CLOCK_BOOTTIME at most %v off", e.runs, e.least, e.most, e.off)
}

// TestMany goes each way again and again, every time from where the last one ended.
func TestMany(t *testing.T) {
	const away = 200 * time.Millisecond // what the probe takes for a step
	for _, l := range runtimes {
		t.Run(l.name, func(t *testing.T) {
			s := newStand(t)
			c := s.newContainer(l, nil, "", "")
			c.start()
			defer c.kill()
			var all extremes
			for range *runs {
				c.must(c.checkpoint())
				time.Sleep(away)
				c.must(c.restore())
				got := stepOf(t, c.seen())
				got.suspended(t, away)
				all.add(got)
			}
			t.Log(all)
		})
	}
	t.Run("podman", func(t *testing.T) {
		s := newPodStand(t, runtimes[0])
		s.start("a")
		var all extremes
		for range *runs {
			s.podman("container", "checkpoint", "a")
			time.Sleep(away)
			s.podman("container", "restore", "a")
			got := stepOf(t, s.seenBy("a"))
			got.suspended(t, away)
			all.add(got)
		}
		t.Log(all)
	})
}

// TestOverhead compares how long checkpoint and restore take with the shim and without,
// in turns: by runtimes, whose own ups and downs are larger than what is looked for, and by
// one that does nothing, in whose place the shim does all that it does for runc. With few
// runs the numbers say little, and are only shown.
func TestOverhead(t *testing.T) {
	for _, l := range runtimes {
		t.Run(l.name, func(t *testing.T) {
			s := newStand(t)
			c := s.newContainer(l, nil, "", "")
			c.start()
			defer c.kill()
			checkpoint, restore := c.checkpoint("--leave-running"), c.restore()
			if l == runtimes[0] {
				alone := c.noop()
				alone.compare("checkpoint by nothing", alone.checkpoint(), func() {})
				c.compare("checkpoint", checkpoint, func() {})
				alone.compare("restore by nothing", alone.restore(), func() {})
			} else {
				c.compare("checkpoint", checkpoint, func() {})
			}
			c.compare("restore", restore, c.kill)
		})
	}
}

// noop is the same container, of a runtime that passes for runc and does nothing.
func (c *container) noop() *container {
	c.t.Helper()
	alone := *c
	alone.name, alone.path = "noop", "/opt/noop"
	c.Copy(machine.Program(c.t, "noop"), alone.path, 0o755)
	return &alone
}

// enough is the number of runs from which on an interval is one of 95 %, and judged.
const enough = 50

// compare runs the shim and, with the same arguments, the runtime alone.
func (c *container) compare(what string, shim []string, before func()) {
	c.t.Helper()
	plain := append([]string{c.path}, shim[2:]...) // without its name and environment
	took := func(args []string) time.Duration {
		before()
		time.Sleep(100 * time.Millisecond) // until all is quiet
		begin := time.Now()
		c.must(args)
		return time.Since(begin)
	}
	var without, more []time.Duration
	for i := range *runs + 1 {
		// Either is the first once: what the other one left has an effect of 10 ms.
		a, b := took(plain), took(shim)
		d, e := took(shim), took(plain)
		if i > 0 { // after the first, for which caches are filled
			without, more = append(without, a, e), append(more, (b-a+d-e)/2)
		}
	}
	sure := ""
	if low, high, ok := stats.Interval(more); ok {
		sure = fmt.Sprintf(" (%+.1f … %+.1f with 95 %% certainty)", ms(low), ms(high))
	}
	limit := 5*time.Millisecond + stats.Median(without)/100
	c.t.Logf("%s: %.1f ms without the shim, %+.1f ms with it%s, at most %.1f ms are wanted",
		what, ms(stats.Median(without)), ms(stats.Median(more)), sure, ms(limit))
	if low, ok := stats.AtLeast(more); ok && *runs >= enough && low > limit {
		c.t.Errorf("%s takes %.1f ms longer with the shim, for certain more than %.1f ms", what, ms(stats.Median(more)), ms(limit))
	}
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
