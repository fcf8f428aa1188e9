package docker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// TestResume has containers go on from each other's clocks, as Docker runs, restarts and
// removes them.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, e := range []engine{docker26, moby2} {
		for _, low := range []lowlevel{runc, crun} {
			for _, mode := range []string{modeRuntime, modeCDI} {
				t.Run(fmt.Sprint(e.short, "-", mode, "-", low.name), func(t *testing.T) {
					t.Parallel()
					h := newHost(t, e, low)
					h.setUp(mode)
					keeps := slices.Concat(options(mode), []string{"--annotation", "io.timens.save=db", "--annotation", "io.timens.resume=saved-or-new:db",
						"--annotation", "io.timens.monotonic=+36h"})
					var before probe.Report
					for i := range 4 {
						report, err := h.once("once", keeps...)
						if err != nil {
							t.Fatal(err)
						}
						now := machine.Report(t, report)
						if i > 0 {
							expectResumed(t, before, now)
						}
						before = now
					}
					h.docker(slices.Concat([]string{"run", "--detach", "--name=kept"}, keeps, []string{image})...)
					for range 2 {
						now := machine.Report(t, h.docker("exec", "kept", "/probe", "now"))
						expectResumed(t, before, now)
						before = now
						h.docker("restart", "--time=2", "kept")
					}
					if got := h.Run("ls", "-A", "/var/lib/oci-timens/saved"); got != "db" && got != "db\n" {
						t.Errorf("kept is %q", got)
					}
				})
			}
		}
	}
}

// expectResumed has clocks have gone on: neither backward nor faster than time, and
// CLOCK_BOOTTIME as fast as that.
func expectResumed(t *testing.T, before, now probe.Report) {
	t.Helper()
	passed := func(from, to probe.Sample) (clock, time int64) {
		return to.VDSO - from.VDSO, to.Realtime - from.Realtime
	}
	const exact = int64(time.Millisecond)
	if by, real := passed(before.Monotonic, now.Monotonic); by < 0 || by > real+exact {
		t.Errorf("CLOCK_MONOTONIC has gone by %v, of %v", time.Duration(by), time.Duration(real))
	}
	if by, real := passed(before.Boottime, now.Boottime); by < 0 || by-real < -exact || by-real > exact {
		t.Errorf("CLOCK_BOOTTIME has gone by %v, of %v", time.Duration(by), time.Duration(real))
	}
}
