package containerd

import (
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

const savedDir = "/var/lib/oci-timens/saved"

// TestResume has pods go on with the clocks of those before them, in their namespace.
func TestResume(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, s)
			e.configure()
			e.start()
			keeps := map[string]string{"io.timens.save": "db", "io.timens.resume": "saved-or-new:db", "io.timens.boottime": "=0", "io.timens.monotonic": "+36h"}

			p := e.pod(t, "timens", keeps)
			first := e.container(t, p, &cri.Container{Name: "a"})
			agree(t, "the second container", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "b"})), machine.Ahead(t, first))
			if err := e.cri.StopPodSandbox(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if got := e.m.Run("find", savedDir, "-type", "f"); strings.TrimSpace(got) != savedDir+"/@tests/db" {
				t.Errorf("kept is %q", got)
			}

			time.Sleep(50 * time.Millisecond)
			p = e.pod(t, "timens", keeps)
			a := &cri.Container{Name: "a"}
			second := e.container(t, p, a)
			expectResumed(t, first, second)
			agree(t, "its other container", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "b"})), machine.Ahead(t, second))
			if err := e.cri.StopContainer(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			agree(t, "another attempt", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "a", Attempt: 1})), machine.Ahead(t, second))

			p = newPod(t, "timens", map[string]string{"io.timens.resume": "saved:db"})
			p.Namespace = "other"
			err := e.cri.RunPodSandbox(t.Context(), p)
			if err == nil {
				e.removePod(t, p)
			}
			if want := `"saved:db": nothing has been saved under that name in ` + savedDir; err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `\"`, `"`), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
		})
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
	if by, real := passed(before.Monotonic, now.Monotonic); by < 0 || by > real-exact {
		t.Errorf("CLOCK_MONOTONIC has gone by %v, of %v", time.Duration(by), time.Duration(real))
	}
	if by, real := passed(before.Boottime, now.Boottime); by < 0 || by-real < -exact || by-real > exact {
		t.Errorf("CLOCK_BOOTTIME has gone by %v, of %v", time.Duration(by), time.Duration(real))
	}
}
