package podman

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// resumes is how many containers go on from each other, for each way to start one.
var resumes = flag.Int("resumes", 3, "how many containers go on from each other's clocks")

var keeps = map[string]string{"io.timens.save": "db", "io.timens.resume": "saved-or-new:db", "io.timens.boottime": "=0", "io.timens.monotonic": "+36h"}

// TestResume has containers go on from each other's clocks, as podman runs, restarts and
// removes them, and from a snapshot.
func TestResume(t *testing.T) {
	for _, r := range releases {
		for _, user := range users {
			for _, mode := range modes {
				if mode == "precreate" && !r.precreate {
					continue
				}
				t.Run(r.name+"/"+user+"/"+mode, func(t *testing.T) {
					t.Parallel()
					s := newStand(t, r, user)
					s.setup(s.runtimes[0], "")
					s.configure(t, "--mode", mode)
					for _, l := range s.runtimes {
						t.Run(strings.ReplaceAll(l.version, " ", "-"), func(t *testing.T) {
							s.setup(l, "")
							testResume(t, &cell{stand: s, mode: mode, lowLevel: l, flags: s.runtimeFlags(mode, l)})
						})
					}
				})
			}
		}
	}
}

func testResume(t *testing.T, c *cell) {
	var before probe.Report
	for i := range *resumes {
		now := machine.Report(t, c.do(t, with([]string{"run", "--rm"}, annotate(keeps), []string{image, "now"})...))
		if i > 0 {
			expectResumed(t, fmt.Sprint("run ", i), before, now)
		}
		before = now
	}
	c.do(t, with([]string{"run", "--detach", "--name=c"}, annotate(keeps), []string{image})...)
	defer c.do(t, "rm", "--force", "--time=0", "c")
	first := c.report(t, "c", 1)
	expectResumed(t, "a container that goes on running", before, first)
	text := c.run(t, "timensctl", "snapshot", "--annotation", c.do(t, "inspect", "--format={{.Id}}", "c"))
	time.Sleep(30 * time.Millisecond)
	copied := machine.Report(t, c.do(t, "run", "--rm", "--annotation", text, image, "now"))
	expectResumed(t, "from a snapshot", first, copied)
	c.do(t, "restart", "--time=2", "c")
	expectResumed(t, "a restart", first, c.report(t, "c", 2))
	dir := "/var/lib/oci-timens/saved"
	if c.user != "root" {
		dir = c.home + "/.local/state/oci-timens/saved"
	}
	if got := c.run0(t, "ls", "-A", dir); got != "db" {
		t.Errorf("%s has %q", dir, got)
	}
}

// expectResumed has clocks have gone on: neither backward nor faster than time, and
// CLOCK_BOOTTIME as fast as that.
func expectResumed(t *testing.T, what string, before, now probe.Report) {
	t.Helper()
	passed := func(from, to probe.Sample) (clock, time int64) {
		return to.VDSO - from.VDSO, to.Realtime - from.Realtime
	}
	if by, real := passed(before.Monotonic, now.Monotonic); by < 0 || by > real+int64(time.Millisecond) {
		t.Errorf("%s: CLOCK_MONOTONIC has gone by %v, of %v", what, time.Duration(by), time.Duration(real))
	}
	if by, real := passed(before.Boottime, now.Boottime); by < 0 || by-real < -int64(time.Millisecond) || by-real > int64(time.Millisecond) {
		t.Errorf("%s: CLOCK_BOOTTIME has gone by %v, of %v", what, time.Duration(by), time.Duration(real))
	}
}
