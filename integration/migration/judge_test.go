package migration

import (
	"encoding/json"
	"testing"
	"time"

	"oci-timens/internal/probe"
)

// gap is what the clocks of a container did while it was moved.
type gap struct{ monotonic, boottime, realtime time.Duration }

// seen is what the probe in a container tells of its clocks so far.
func seen(t *testing.T, h *host, c container) (w probe.Watch) {
	t.Helper()
	pid := c.pid(h)
	file := "/proc/" + pid + "/root" + watchFile
	text := h.Run("sh", "-c", `rm -f "$1"; kill -HUP "$2"; until cat "$1" 2>/dev/null; do sleep 0.05; done`, "sh", file, pid)
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatalf("the probe wrote %q: %v", text, err)
	}
	return w
}

// judge checks what a container has seen that was moved, and returns the latest gap: it
// did not run meanwhile, as CLOCK_MONOTONIC tells.
func judge(t *testing.T, w probe.Watch) (g gap) {
	t.Helper()
	if w.Backward != 0 || w.Disagreed != 0 {
		t.Errorf("%d readings backward, %d apart by vDSO and system call: %+v", w.Backward, w.Disagreed, w.Steps)
	}
	for _, s := range w.Steps {
		if d := between(s); d.realtime-d.monotonic >= away/2 {
			g = d
		}
	}
	if g.realtime < away {
		t.Fatalf("it was not away: %+v", w.Steps)
	}
	// It was not frozen for all of the time: CRIU takes a moment at either end.
	if g.monotonic < 0 || g.monotonic > g.realtime {
		t.Errorf("CLOCK_MONOTONIC went on by %v in %v", g.monotonic, g.realtime)
	}
	return g
}

func between(s probe.Step) gap {
	return gap{
		time.Duration(s.After.Monotonic - s.Before.Monotonic),
		time.Duration(s.After.Boottime - s.Before.Boottime),
		time.Duration(s.After.Realtime - s.Before.Realtime),
	}
}

// sameClocks checks that another process of the container has the clocks that its first
// process has.
func sameClocks(t *testing.T, w probe.Watch, r probe.Report) {
	t.Helper()
	for name, d := range map[string]time.Duration{
		"CLOCK_MONOTONIC": time.Duration(r.Monotonic.Raw - r.Monotonic.Realtime - (w.Last.Monotonic - w.Last.Realtime)),
		"CLOCK_BOOTTIME":  time.Duration(r.Boottime.Raw - r.Boottime.Realtime - (w.Last.Boottime - w.Last.Realtime)),
	} {
		if d.Abs() > 20*time.Millisecond {
			t.Errorf("%s is ahead by %v in a process that was added", name, d)
		}
	}
}
