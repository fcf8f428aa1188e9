package criu

import (
	"testing"
	"time"

	"oci-timens/internal/probe"
)

// TestSave has clocks be kept of a container that was restored: others go on from there
// without going backward.
func TestSave(t *testing.T) {
	for _, l := range runtimes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			newStand(t).testSave(l)
		})
	}
}

func (s *stand) testSave(l lowLevel) {
	keeps := map[string]string{"io.timens.save": "db", "io.timens.resume": "saved-or-new:db", "io.timens.monotonic": "+36h"}
	c := s.newContainer(l, keeps, "", "")
	c.start()
	defer c.kill()
	c.must(c.checkpoint())
	time.Sleep(away)
	c.must(c.restore())
	restored := c.seen()
	s.follows("while it runs", l, restored.Last)
	last := c.seen().Last
	c.kill()
	s.follows("after its end", l, last)
}

// follows has a container go on from what is kept of one that has seen last.
func (s *stand) follows(when string, l lowLevel, last probe.Moment) {
	s.t.Helper()
	next := s.newContainer(l, map[string]string{"io.timens.resume": "saved:db"}, "", "")
	next.start()
	defer next.kill()
	first := next.seen().First
	const exact = time.Millisecond
	real := time.Duration(first.Realtime - last.Realtime)
	mono, boot := time.Duration(first.Monotonic-last.Monotonic), time.Duration(first.Boottime-last.Boottime)
	if mono < 0 || boot < 0 || mono > real+exact || (boot-real).Abs() > exact {
		s.t.Errorf("%s: CLOCK_MONOTONIC has gone by %v, CLOCK_BOOTTIME by %v, of %v", when, mono, boot, real)
	}
}
