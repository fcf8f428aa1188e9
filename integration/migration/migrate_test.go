package migration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// TestMigrate moves containers from one host to another and back: one of the two moves
// goes to the host that has been up for shorter, whose clocks are behind.
func TestMigrate(t *testing.T) {
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			elder, younger := startHosts(t, r)
			archive := machine.Image(t, image)
			for _, h := range []*host{elder, younger} {
				setUpPodman(t, h, archive)
			}
			all := travellers(r)
			for _, c := range all {
				t.Run(c.name, func(t *testing.T) {
					c.begin(t, elder)
					c.travel(t, elder, younger)
					c.travel(t, younger, elder)
					if !c.timers {
						c.end(elder.in(t))
					}
				})
			}
			t.Run("behind", func(t *testing.T) { behind(t, elder, younger, r.runtimes[0]) })
			for _, c := range all {
				if c.timers {
					t.Run("timers of "+c.name, func(t *testing.T) { c.fired(t, elder) })
				}
			}
		})
	}
}

// travellers are all ways to move.
func travellers(r release) (all []*traveller) {
	const never = time.Hour
	first := r.runtimes[0]
	add := func(name string, l lowLevel, c container) *traveller {
		all = append(all, &traveller{name: strings.ReplaceAll(name, " ", "-"), runtime: l, container: c, tolerance: byCRIU})
		return all[len(all)-1]
	}
	add("podman "+r.podman, first, podman{"probe", asked, never})
	for i, l := range r.runtimes {
		annotations := asked
		if !l.clocks {
			annotations = nil
		}
		add(l.version, l, &byHand{fmt.Sprintf("c%d", i), l, annotations, false, timersAfter}).timers = true
	}
	add("plain "+first.version, first, &byHand{"plain", first, nil, true, never}).plain = true
	add("resumed "+first.version, first, resumedByHand{&byHand{"db", first, keeps("db"), false, never}}).tolerance = resumed
	add("resumed podman "+r.podman, first, resumedPodman{&podman{"web", keeps("web"), never}}).tolerance = resumed
	return all
}

// By how much CLOCK_BOOTTIME may be off. An emulated processor may stand still between the
// readings of two clocks: on a machine of its own, far less is measured of the second.
const (
	byCRIU  = 50 * time.Millisecond
	resumed = 10 * time.Millisecond
)

// busy is for how long an emulated processor may keep a thread waiting.
const busy = 3 * time.Second

// timersAfter is when the timers of containers fire, by either clock.
const timersAfter = 20 * time.Second

// traveller is a container that is moved there and back.
type traveller struct {
	container
	runtime   lowLevel
	name      string
	timers    bool          // fire while the test lasts
	plain     bool          // without the shim: as the comparison, what CRIU does by itself
	tolerance time.Duration // of CLOCK_BOOTTIME to CLOCK_REALTIME
	gaps      gap           // of all moves
}

func (c *traveller) begin(t *testing.T, h *host) {
	h = h.in(t)
	c.start(h)
	began := seen(t, h, c)
	if c.plain || !c.runtime.clocks {
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
	if c.plain {
		return
	}
	if d := g.boottime - g.realtime; d.Abs() > c.tolerance {
		t.Errorf("CLOCK_BOOTTIME went on by %v, and CLOCK_REALTIME by %v", g.boottime, g.realtime)
	}
	c.gaps.monotonic += g.monotonic
	c.gaps.boottime += g.boottime
	if c.runtime.exec {
		sameClocks(t, w, execReport(t, to, c))
	} else if hand, ok := c.container.(*byHand); ok {
		strangers(t, to, hand)
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
		due, most := timer.Deadline, c.gaps.monotonic
		for _, s := range w.Steps {
			due = after(s, timer.Clock, due)
		}
		if timer.Clock == "boottime" {
			most = c.gaps.boottime
		}
		if timer.Kind == "clock_nanosleep" {
			most = 0
		}
		late := time.Duration(timer.Fired - due)
		t.Logf("%s on the %s clock fired %v after it was due", timer.Kind, timer.Clock, late)
		if timer.Fired < timer.Deadline || late > most+busy || timer.Error != "" {
			t.Errorf("%+v, away for %+v", timer, c.gaps)
		}
	}
}

// after is when something is due that is due at a moment of a clock: the process may have
// stood still then.
func after(s probe.Step, clock string, due int64) int64 {
	from, to := s.Before.Monotonic, s.After.Monotonic
	if clock == "boottime" {
		from, to = s.Before.Boottime, s.After.Boottime
	}
	if from < due && due < to {
		return to
	}
	return due
}
