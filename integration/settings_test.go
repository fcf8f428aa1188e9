package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// TestSettings runs a container for each kind of setting and reads its clocks.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		feature             string
		monotonic, boottime string // annotations; "" for none
		want                want
	}{
		{"nothing asked", "", "", want{}},
		{"both clocks", "+1d2h3.5s", "-5s", want{ahead(day + 2*time.Hour + 3500*time.Millisecond), ahead(-5 * time.Second)}},
		{"one clock", "", "+49d17h", want{boottime: ahead(49*day + 17*time.Hour)}},
		{"positive", "36h", "90061.000000042", want{ahead(36 * time.Hour), ahead(90061*time.Second + 42)}},
		{"negative", "-10.25s", "-9s", want{ahead(-10250 * time.Millisecond), ahead(-9 * time.Second)}},
		{"sub-second", "+250ms", "-0.5s", want{ahead(250 * time.Millisecond), ahead(-500 * time.Millisecond)}},
		{"reads (=0, =5m)", "=5m", "=0", want{reads(5 * time.Minute), reads(0)}},
	} {
		t.Run(c.feature, func(t *testing.T) {
			eachStack(t, c.feature, func(t *testing.T, s stack) {
				container := newContainer(t, s)
				ask(container, c.monotonic, c.boottime)
				seen := container.run()
				c.want.check(t, container.created, seen)
			})
		})
	}
}

// ask annotates a container with clock settings, of which "" is none.
func ask(c *container, monotonic, boottime string) {
	if monotonic != "" {
		annotate(c.spec, "io.timens.monotonic", monotonic)
	}
	if boottime != "" {
		annotate(c.spec, "io.timens.boottime", boottime)
	}
}

// asking is the request of tests that are about something else.
const (
	askMonotonic = "+90061.000000042"
	askBoottime  = "-2.5s"
)

var asked = want{ahead(90061*time.Second + 42), ahead(-2500 * time.Millisecond)}

// TestDetached walks a container through create, start and delete, and compares
// the offsets that the kernel holds digit by digit.
func TestDetached(t *testing.T) {
	eachStack(t, "create, start, delete", func(t *testing.T, s stack) {
		c := newContainer(t, s, "hold")
		ask(c, askMonotonic, askBoottime)
		asked.check(t, c.created, c.start())

		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/timens_offsets", c.pid))
		held := strings.Join(strings.Fields(string(text)), " ")
		if want := "monotonic 90061 42 boottime -3 500000000"; err != nil || held != want {
			t.Errorf("the kernel holds %q (%v), want %q", held, err, want)
		}
		var state struct{ Status string }
		c.decode(c.must("state", c.id).stdout, &state)
		if state.Status != "running" {
			t.Errorf("status %q", state.Status)
		}
		c.stop()
	})
}

// TestWaitsForStart gives a container that waits a while between create and start
// the clock that it asked for, which goes on meanwhile.
func TestWaitsForStart(t *testing.T) {
	eachStack(t, "reads (=0, =5m)", func(t *testing.T, s stack) {
		c := newContainer(t, s, "hold")
		ask(c, "=0", "=1h")
		if r := c.create(); r.exit != 0 {
			t.Fatalf("create: exit %d: %s", r.exit, r.stderr)
		}
		time.Sleep(300 * time.Millisecond)
		c.must("start", c.id)
		seen := c.report()
		want{reads(0), reads(time.Hour)}.check(t, c.created, seen)
		if seen.inside.Monotonic.Raw < int64(300*time.Millisecond) {
			t.Errorf("CLOCK_MONOTONIC reads %v, but has run for 300 ms", time.Duration(seen.inside.Monotonic.Raw))
		}
		c.stop()
	})
}

// TestDefaults gives clocks to a container that asks for none.
func TestDefaults(t *testing.T) {
	eachStack(t, "defaults of the configuration", func(t *testing.T, s stack) {
		c := newContainer(t, s)
		c.toml = "[defaults]\nboottime = \"+20d\"\n"
		seen := c.run()
		want{boottime: ahead(20 * day)}.check(t, c.created, seen)
	})
}
