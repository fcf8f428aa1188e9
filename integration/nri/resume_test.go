package nri

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
			e := newEngine(t, s, "")
			keeps := map[string]string{"io.timens.save": "db", "io.timens.resume": "saved-or-new:db", "io.timens.boottime": "=0", "io.timens.monotonic": "+36h"}

			e.refuses(t, newPod(t, keeps), "timens-nri cannot look up what has been saved")
			e.m.Run("mkdir", "-p", savedDir) // as the manifest does

			p := e.pod(t, keeps)
			first := e.container(t, p, &cri.Container{Name: "a"})
			want := machine.Ahead(t, first)
			agree(t, "init", want, machine.Clocks{Monotonic: 36 * hour, Boottime: want.Boottime})
			agree(t, "the second container", e.init(t, p, &cri.Container{Name: "b"}), want)
			e.end(t, p)
			if got := e.m.Run("find", savedDir, "-type", "f", "-not", "-name", ".lock"); strings.TrimSpace(got) != savedDir+"/@tests/db" {
				t.Errorf("kept is %q", got)
			}

			time.Sleep(50 * time.Millisecond)
			p = e.pod(t, keeps)
			a := &cri.Container{Name: "a"}
			second := e.container(t, p, a)
			expectResumed(t, "another pod", first, second)
			want = machine.Ahead(t, second)
			if want.Near(machine.Ahead(t, first)) {
				t.Error("CLOCK_MONOTONIC has not stood still meanwhile")
			}
			agree(t, "its other container", e.init(t, p, &cri.Container{Name: "b"}), want)
			next, again := e.again(t, p, a)
			agree(t, "another attempt, while the other runs", again, want)
			e.checkExec(t, next, want)

			p = newPod(t, map[string]string{"io.timens.resume": "saved:db"})
			p.Namespace = "other"
			e.refuses(t, p, `annotation "io.timens.resume": "saved:db": nothing has been saved under that name in `+savedDir)
			p = newPod(t, map[string]string{"io.timens.resume": "saved:db", "io.kubernetes.pod.namespace": "tests", "io.kubernetes.cri.sandbox-namespace": "tests"})
			p.Namespace = "other"
			e.refuses(t, p, "nothing has been saved under that name")
		})
	}
}

// end stops a pod, and keeps it for the end of the test to remove.
func (e *engine) end(t *testing.T, p *cri.Pod) {
	t.Helper()
	if err := e.cri.StopPodSandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// refuses has a container of a pod not be created.
func (e *engine) refuses(t *testing.T, p *cri.Pod, text string) {
	t.Helper()
	e.runPod(t, p)
	e.refused(t, p, "a", text)
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
