package probe

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

func TestReadIsConsistent(t *testing.T) {
	r, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Sample{"monotonic": r.Monotonic, "boottime": r.Boottime} {
		if s.VDSO <= 0 || s.VDSO > s.Raw || s.Raw > s.VDSOAfter || s.Realtime <= 0 {
			t.Errorf("%s: readings are out of order: %+v", name, s)
		}
	}
	if r.TimeNamespace != r.TimeForChildren {
		t.Errorf("in %s with children in %s", r.TimeNamespace, r.TimeForChildren)
	}
	if r.StartTime <= 0 || r.StartTime > r.Boottime.VDSO {
		t.Errorf("started at %d, after %d", r.StartTime, r.Boottime.VDSO)
	}
	// BootedAt is rounded down.
	if booted := r.Boottime.Realtime - r.Boottime.Raw; booted < r.BootedAt || booted > r.BootedAt+nanosPerSecond {
		t.Errorf("btime %d, by the clocks %d", r.BootedAt, booted)
	}
}

func TestTimersFire(t *testing.T) {
	const after = 20 * time.Millisecond
	timers, err := WaitTimers(after)
	if err != nil {
		t.Fatal(err)
	}
	if len(timers.Timers) != 6 {
		t.Errorf("%d timers, want 3 kinds on 2 clocks", len(timers.Timers))
	}
	for _, timer := range timers.Timers {
		if timer.Fired < timer.Deadline || timer.Elapsed < after.Nanoseconds() {
			t.Errorf("fired too early: %+v", timer)
		}
	}
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args []string
		exit int
	}{
		{nil, 0}, {[]string{"now"}, 0}, {[]string{"bench", "1"}, 0},
		{[]string{"bench", "none"}, 1}, {[]string{"timers", "soon"}, 1},
		{[]string{"then"}, 2}, {[]string{"now", "then"}, 2}, {[]string{"bench", "1", "2"}, 2},
	} {
		var out bytes.Buffer
		if got := Run(&out, c.args); got != c.exit {
			t.Errorf("Run(%q) = %d, want %d", c.args, got, c.exit)
		}
		if (c.exit == 0) != json.Valid(out.Bytes()) {
			t.Errorf("Run(%q) wrote %q", c.args, out.String())
		}
	}
}
