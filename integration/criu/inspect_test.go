package criu

import (
	"encoding/json"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// TestAfterRestore looks at restored containers from outside, and execs in them: CRIU
// has also put one into a time namespace that has asked for nothing.
func TestAfterRestore(t *testing.T) {
	for _, l := range runtimes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			t.Run("asked", func(t *testing.T) { s.on(t).testAfterRestore(l, asked) })
			t.Run("nothing asked", func(t *testing.T) { s.on(t).testAfterRestore(l, nil) })
		})
	}
}

func (s *stand) testAfterRestore(l lowLevel, annotations map[string]string) {
	c := s.newContainer(l, annotations, "", "")
	c.start()
	defer c.kill()
	before := c.inspect()
	c.must(c.checkpoint())
	time.Sleep(away)
	c.must(c.restore())
	c.seen()
	after := c.inspect()
	r := after.Restored
	if before.Restored != nil || r == nil {
		s.t.Fatalf("restored: %+v, %+v", before.Restored, r)
	}
	if r.Images != c.images() || r.Gap < away || r.OffsetsBefore != *before.Offsets || r.OffsetsAfter != *after.Offsets {
		s.t.Errorf("%+v, was %+v, is %+v", r, before.Offsets, after.Offsets)
	}
	joins := l.name != "runc-1.1.15"
	if before.ExecElsewhere != (!joins && annotations != nil) || after.ExecElsewhere == joins {
		s.t.Errorf("exec elsewhere: %v, %v", before.ExecElsewhere, after.ExecElsewhere)
	}
	got := machine.Ahead(s.t, machine.Report(s.t, c.Run(c.shim("exec", c.id, "/probe")...)))
	if got.Near(after.Offsets.clocks()) != joins || got.Near(machine.Clocks{}) == joins {
		s.t.Errorf("exec is ahead by %+v, the container by %+v", got, after.Offsets)
	}
}

type kernelOffsets struct {
	Monotonic, Boottime struct{ Secs, Nanosecs int64 }
}

func (o kernelOffsets) clocks() machine.Clocks {
	return machine.Clocks{
		Monotonic: time.Duration(o.Monotonic.Secs*1e9 + o.Monotonic.Nanosecs),
		Boottime:  time.Duration(o.Boottime.Secs*1e9 + o.Boottime.Nanosecs),
	}
}

// inspected is the part of what timensctl inspect says that a restore is about.
type inspected struct {
	Offsets       *kernelOffsets
	ExecElsewhere bool
	Restored      *struct {
		Images                      string
		Gap                         time.Duration
		OffsetsBefore, OffsetsAfter kernelOffsets
	}
}

func (c *container) inspect() (v inspected) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.Run("timensctl", "inspect", "-o", "json", c.id)), &v); err != nil {
		c.t.Fatal(err)
	}
	if v.Offsets == nil {
		c.t.Fatal("no offsets")
	}
	return v
}
