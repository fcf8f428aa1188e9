package probe

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
		{[]string{"watch"}, 2}, {[]string{"watch", "f", "soon"}, 1}, {[]string{"watch", "f", "1s", "more"}, 1},
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

// TestWatch has this very process watched, and then once more, going on from there.
func TestWatch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "watch")
	first := watchHere(t, file, time.Millisecond)
	time.Sleep(longStep)
	w := watchHere(t, file, 10*time.Millisecond)
	if w.First != first.First || w.Samples <= first.Samples || w.Backward != 0 || w.Disagreed != 0 || w.Last.Boottime <= first.Last.Boottime {
		t.Errorf("%+v after %+v", w, first)
	}
	if len(w.Steps) == 0 || !slices.ContainsFunc(w.Steps, func(s Step) bool { return s.Before == first.Last }) {
		t.Errorf("no step from %+v: %+v", first.Last, w.Steps)
	}
	for _, timer := range w.Timers {
		if timer.Fired < timer.Deadline || timer.Fired == 0 || timer.Error != "" {
			t.Errorf("%+v", timer)
		}
	}
}

func watchHere(t *testing.T, file string, timers time.Duration) (w Watch) {
	t.Helper()
	out, in := io.Pipe()
	ended := make(chan int)
	go func() { ended <- Run(in, []string{"watch", file, timers.String()}) }()
	var r Report
	if err := json.NewDecoder(out).Decode(&r); err != nil || r.Monotonic.Raw == 0 {
		t.Fatal(r, err)
	}
	time.Sleep(100 * time.Millisecond)
	unix.Kill(os.Getpid(), unix.SIGHUP)
	time.Sleep(10 * time.Millisecond)
	unix.Kill(os.Getpid(), unix.SIGTERM)
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil || w.Samples < 5 {
		t.Fatal(w, err)
	}
	return w
}

func TestStep(t *testing.T) {
	gettime, err := findVDSO()
	if err != nil {
		t.Fatal(err)
	}
	s := &watcher{gettime: gettime}
	if s.Last, err = s.moment(); err != nil {
		t.Fatal(err)
	}
	for range 2 * maxSteps {
		s.Last.Boottime += int64(time.Hour) // as if a restore had lost it
		before := s.Last
		if err := s.sample(); err != nil || s.Steps[len(s.Steps)-1].Before != before || s.Steps[len(s.Steps)-1].After != s.Last {
			t.Fatal(err, s.Steps)
		}
	}
	if s.Backward != 2*maxSteps || len(s.Steps) != maxSteps {
		t.Errorf("%d backward, %d steps", s.Backward, len(s.Steps))
	}
}
