package kernels

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// asks are the clocks of containers here.
var asks = map[string]string{"io.timens.boottime": "+497d"}

// TestYama forbids ptrace to everybody, which lasts until a guest ends: what needs it is
// refused with the reason, and what does not goes on.
func TestYama(t *testing.T) {
	t.Parallel()
	const reason = "ptrace is off for everybody on this machine: kernel.yama.ptrace_scope is 3, and cannot be lowered before the next boot"
	s := systems[2]
	g := s.start(t, 2)
	install(t, g)
	g.Run("sh", "-c", "echo 3 >/proc/sys/kernel/yama/ptrace_scope")

	for _, l := range s.runtimes {
		for _, hook := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s-%s/hook-%v", l.name, l.version, hook), func(t *testing.T) {
				h := g.In(t)
				a := attempt{runtime: l, hook: hook, asks: asks}
				if l == builtRunc && !hook { // it sets offsets by itself
					a.runs(t, h, 497*24*time.Hour)
					return
				}
				a.refused(t, h, reason)
				attempt{runtime: l, hook: hook}.runs(t, h, 0)
			})
		}
	}
	if said := g.Fail("timensctl", "run", "--boottime", "+497d", "--", "/run/probe"); !strings.Contains(said, reason) {
		t.Errorf("timensctl run says %s", said)
	}
	out, _ := g.Try("timensctl", "check")
	if !strings.Contains(out.Stdout, "ptrace            no: "+reason) || !strings.Contains(out.Stdout, "✗ createRuntime hook: "+reason) {
		t.Errorf("timensctl check says %s", out.Stdout)
	}
}

// runs wants the container to run with its CLOCK_BOOTTIME so far ahead of the host's.
func (a attempt) runs(t *testing.T, h host, ahead time.Duration) {
	t.Helper()
	const close = 10 * time.Millisecond // an emulated processor may stand still between two readings
	out, log, err := a.run(t, h)
	if err != nil {
		t.Fatalf("%v, logged %s", err, log)
	}
	inside, outside := machine.Report(t, out.Stdout).Boottime, machine.Report(t, h.Run("/run/probe")).Boottime
	is := time.Duration(inside.VDSO - inside.Realtime - (outside.VDSO - outside.Realtime))
	if (is - ahead).Abs() > close {
		t.Errorf("it is %v ahead, want %v", is, ahead)
	}
}
