package migration

import (
	"fmt"
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
			elder, younger := startHosts(t, r)
			for i, l := range r.runtimes {
				t.Run(strings.ReplaceAll(l.version, " ", "-"), func(t *testing.T) {
					there(t, elder, younger, &byHand{runtime: l, id: fmt.Sprintf("c%d", i), timers: timersAfter})
				})
			}
			t.Run("podman-"+r.podman, func(t *testing.T) {
				for _, h := range []*host{elder, younger} {
					podman{}.setUp(t, h, r.runtimes[0])
				}
				there(t, elder, younger, podman{"probe", timersAfter})
			})
		})
	}
}

// timersAfter is when the timers of containers fire, by either clock.
const timersAfter = 20 * time.Second

// there moves a container there, and back again.
func there(t *testing.T, from, to *host, c container) {
	c.start(from)
	began := seen(t, from, c)
	if began.Last.Boottime < int64(497*24*time.Hour) || began.Last.Monotonic < int64(100*24*time.Hour) {
		t.Fatalf("it began with %+v", began.Last)
	}
	for _, h := range []*host{to, from} {
		c.move(map[*host]*host{to: from, from: to}[h], h)
		time.Sleep(200 * time.Millisecond)
		w := seen(t, h, c)
		g := judge(t, w)
		t.Logf("REALTIME +%v, MONOTONIC +%v, BOOTTIME +%v", g.realtime, g.monotonic, g.boottime)
		if d := g.boottime - g.realtime; d.Abs() > 50*time.Millisecond {
			t.Errorf("CLOCK_BOOTTIME went on by %v, and CLOCK_REALTIME by %v", g.boottime, g.realtime)
		}
		sameClocks(t, w, execReport(t, h, c))
	}
	timers(t, from, c)
}

// timers waits for the timers of a container that was moved to fire, none before its time.
func timers(t *testing.T, h *host, c container) {
	t.Helper()
	var w probe.Watch
	for limit := time.Now().Add(2 * timersAfter); ; time.Sleep(time.Second) {
		w = seen(t, h, c)
		waiting := 0
		for _, timer := range w.Timers {
			if timer.Fired == 0 {
				waiting++
			}
			if timer.Error != "" {
				t.Errorf("%+v", timer)
			}
		}
		if waiting == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("not all timers have fired: %+v", w.Timers)
		}
	}
	for _, timer := range w.Timers {
		late := time.Duration(timer.Fired - timer.Deadline)
		t.Logf("%s on the %s clock fired %v after its deadline", timer.Kind, timer.Clock, late)
		if late < 0 || timer.Clock == "monotonic" && late > 500*time.Millisecond {
			t.Errorf("%+v", timer)
		}
	}
}
