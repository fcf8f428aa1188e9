package migration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"oci-timens/internal/probe"
)

// TestMigrate moves containers from one host to another and back: one of the two moves
// goes to the host that has been up for shorter, whose clocks are behind.
func TestMigrate(t *testing.T) {
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			elder, younger := startHosts(t, r)
			for _, h := range []*host{elder, younger} {
				podman{}.setUp(t, h, r.runtimes[0])
			}
			all := []*traveller{{name: "podman-" + r.podman, runtime: r.runtimes[0], container: podman{"probe", timersAfter}}}
			for i, l := range r.runtimes {
				name := strings.ReplaceAll(l.version, " ", "-")
				all = append(all, &traveller{name: name, runtime: l, container: &byHand{runtime: l, id: fmt.Sprintf("c%d", i), timers: timersAfter}})
			}
			for _, leg := range []struct {
				name string
				run  func(t *testing.T, c *traveller)
			}{
				{"start", func(t *testing.T, c *traveller) { c.begin(t, elder) }},
				{"there", func(t *testing.T, c *traveller) { c.travel(t, elder, younger) }},
				{"back", func(t *testing.T, c *traveller) { c.travel(t, younger, elder) }},
				{"timers", func(t *testing.T, c *traveller) { c.fired(t, elder) }},
			} {
				for _, c := range all {
					c.lost = !t.Run(leg.name+"/"+c.name, func(t *testing.T) {
						if c.lost {
							t.Skip("it did not come this far")
						}
						leg.run(t, c)
					}) || c.lost
				}
			}
		})
	}
}

// timersAfter is when the timers of containers fire, by either clock.
const timersAfter = 20 * time.Second

// traveller is a container that is moved there and back.
type traveller struct {
	container
	runtime lowLevel
	name    string
	gaps    gap // of all moves
	lost    bool
}

func (c *traveller) begin(t *testing.T, h *host) {
	h = h.in(t)
	c.start(h)
	began := seen(t, h, c)
	if !c.runtime.clocks {
		return
	}
	if began.Last.Boottime < int64(497*24*time.Hour) || began.Last.Monotonic < int64(100*24*time.Hour) {
		t.Fatalf("it began with %+v", began.Last)
	}
}

func (c *traveller) travel(t *testing.T, from, to *host) {
	from, to = from.in(t), to.in(t)
	c.move(from, to)
	time.Sleep(200 * time.Millisecond)
	w := seen(t, to, c)
	g := judge(t, w)
	t.Logf("REALTIME +%v, MONOTONIC +%v, BOOTTIME +%v", g.realtime, g.monotonic, g.boottime)
	if d := g.boottime - g.realtime; d.Abs() > 50*time.Millisecond {
		t.Errorf("CLOCK_BOOTTIME went on by %v, and CLOCK_REALTIME by %v", g.boottime, g.realtime)
	}
	c.gaps.monotonic += g.monotonic
	c.gaps.boottime += g.boottime
	if c.runtime.exec {
		sameClocks(t, w, execReport(t, to, c))
	}
}

// fired waits for the timers of a container that was moved, and checks that none fires
// before its time. A thread that sleeps until a moment goes on doing so. Timers that the
// kernel keeps are armed anew by CRIU, for the time that was left: how long the container
// was away comes on top, by the clock that the timer goes by.
func (c *traveller) fired(t *testing.T, h *host) {
	h = h.in(t)
	var w probe.Watch
	waiting := func(t probe.Timer) bool { return t.Fired == 0 && t.Error == "" }
	for limit := time.Now().Add(3 * timersAfter); ; time.Sleep(time.Second) {
		if w = seen(t, h, c); !slices.ContainsFunc(w.Timers, waiting) {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("not all timers have fired: %+v", w.Timers)
		}
	}
	for _, timer := range w.Timers {
		late := time.Duration(timer.Fired - timer.Deadline)
		t.Logf("%s on the %s clock fired %v after its deadline", timer.Kind, timer.Clock, late)
		most := map[string]time.Duration{"monotonic": c.gaps.monotonic, "boottime": c.gaps.boottime}[timer.Clock]
		if timer.Kind == "clock_nanosleep" {
			most = 0
		}
		if late < 0 || late > most+time.Second || timer.Error != "" {
			t.Errorf("%+v, away for %+v", timer, c.gaps)
		}
	}
}
