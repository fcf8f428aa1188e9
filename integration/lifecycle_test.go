package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// stop ends a detached container as an engine does, and deletes it.
func (c *container) stop() {
	c.t.Helper()
	c.must("kill", c.id, "TERM")
	if status := c.reap(); status.ExitStatus() != 0 {
		c.t.Errorf("the probe ended with status %#x", status)
	}
	c.must("delete", c.id)
}

// execJoins tells whether the runtime's exec can enter a time namespace that it
// did not make itself: runc 1.1 knows none.
func (s stack) execJoins() bool { return !s.runtime.knowsNone() }

// checkExec compares the clocks of one more process in the container.
func (c *container) checkExec(w want) {
	c.t.Helper()
	seen := c.exec()
	if c.stack.execJoins() {
		w.check(c.t, c.created, seen)
		return
	}
	want{}.check(c.t, c.created, seen)
	limit(c.t, "exec sees the host's clocks")
}

func TestExec(t *testing.T) {
	eachStack(t, "exec", func(t *testing.T, s stack) {
		c := newContainer(t, s, "hold")
		ask(c, askMonotonic, askBoottime)
		asked.check(t, c.created, c.start())
		c.checkExec(asked)
		c.stop()
	})
}

// TestLifecycle pauses, resumes and updates a container; its clocks, which are the
// host's shifted, go on, and exec still joins.
func TestLifecycle(t *testing.T) {
	eachStack(t, "kill, pause, update, and exec after", func(t *testing.T, s stack) {
		c := newContainer(t, s, "hold")
		ask(c, askMonotonic, askBoottime)
		limit := int64(100)
		c.spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}
		asked.check(t, c.created, c.start())
		c.must("pause", c.id)
		c.must("resume", c.id)
		c.checkExec(asked)

		update := c.command("update", "--resources", "-", c.id)
		update.Stdin = strings.NewReader(`{"pids":{"limit":77}}`)
		if r := c.finish(update); r.exit != 0 {
			t.Fatalf("update: exit %d: %s", r.exit, r.stderr)
		}
		c.checkPidsLimit("77")
		c.checkExec(asked)

		c.must("kill", c.id, "KILL")
		if status := c.reap(); status.Signal() != unix.SIGKILL {
			t.Errorf("ended with status %#x", status)
		}
		c.must("delete", c.id)
	})
}

func (c *container) checkPidsLimit(want string) {
	c.t.Helper()
	for _, path := range cgroupsOf("/" + c.id) {
		if text, err := os.ReadFile(path + "/pids.max"); err == nil && strings.TrimSpace(string(text)) != want {
			c.t.Errorf("%s/pids.max is %q, want %s", path, text, want)
		}
	}
}

func TestTimers(t *testing.T) {
	eachStack(t, "timers fire on time", func(t *testing.T, s stack) {
		c := newContainer(t, s, "timers", "200ms")
		ask(c, askMonotonic, askBoottime)
		var got struct {
			After  int64
			Timers []struct {
				Kind, Clock              string
				Deadline, Fired, Elapsed int64
			}
		}
		before := host(t)
		r := c.must("run", "--bundle", c.bundle(), c.id)
		after := host(t)
		c.decode(r.stdout, &got)
		if len(got.Timers) != 6 {
			t.Errorf("%d timers, want 3 kinds on 2 clocks", len(got.Timers))
		}
		for _, timer := range got.Timers {
			// On time is judged by the clock of the timer and by CLOCK_REALTIME, which
			// nobody shifts. Late by what a busy machine needs is fine.
			if timer.Fired < timer.Deadline || timer.Elapsed < got.After || timer.Elapsed > got.After+late {
				t.Errorf("did not fire on time: %+v", timer)
			}
			shift, w := span{before.Monotonic.VDSO, after.Monotonic.VDSO}, asked.monotonic
			if timer.Clock == "boottime" {
				shift, w = span{before.Boottime.VDSO, after.Boottime.VDSO}, asked.boottime
			}
			if !shift.holds(timer.Fired - int64(w.value)) {
				t.Errorf("fired when the host's clock was not within %v: %+v", shift, timer)
			}
		}
	})
}

// late is how much a timer may be behind on a machine that is busy with tests.
const late = int64(800e6)
