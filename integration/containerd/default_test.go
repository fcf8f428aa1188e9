package containerd

import (
	"testing"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

// TestSetDefault makes the shim the runtime of pods that name no handler.
func TestSetDefault(t *testing.T) {
	for _, s := range []stack{stacks[0], stacks[3]} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, s)
			e.writeConfig()
			before := e.m.Snapshot(configured...)
			e.m.Run("timensctl", "configure", "containerd", "--set-default")
			e.start()
			asks, want := map[string]string{"io.timens.boottime": "+1h"}, machine.Clocks{Boottime: hour}
			init := func(handler string, annotations map[string]string) machine.Clocks {
				return machine.Ahead(t, e.container(t, e.pod(t, handler, annotations), &cri.Container{Name: "a"}))
			}
			agree(t, "asks", init("", asks), want)
			agree(t, "asks for nothing", init("", nil), machine.Clocks{})
			agree(t, "handler runc", init("runc", asks), machine.Clocks{})
			e.m.Run("timensctl", "configure", "containerd", "--remove")
			e.m.Snapshot(configured...).Same(t, before)
			e.restart()
			agree(t, "after --remove", init("", asks), machine.Clocks{})
			e.checkNoHandler(t)
		})
	}
}

// TestAllContainers gives clocks to pods that ask for nothing.
func TestAllContainers(t *testing.T) {
	for _, s := range []stack{stacks[0], stacks[1], stacks[5]} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, s)
			e.m.Write("/etc/oci-timens/config.d/50-defaults.toml", "[defaults]\nmonotonic = \"+1h\"\nboottime = \"=0\"\n", 0o644)
			e.writeConfig()
			before := e.m.Snapshot(configured...)
			e.m.Run("timensctl", "configure", "containerd", "--all-containers")
			e.start()

			p := e.pod(t, "", nil)
			a := &cri.Container{Name: "a"}
			r := e.container(t, p, a)
			want := machine.Ahead(t, r)
			young(t, r)
			agree(t, "a", want, machine.Clocks{Monotonic: hour, Boottime: want.Boottime})
			e.checkExec(t, a, want)
			agree(t, "b", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "b"})), want)
			agree(t, "sandbox", e.sandbox(t, p), want)

			asks := e.pod(t, "", map[string]string{"io.timens.monotonic": "+2h", "io.timens.boottime": "+0"})
			agree(t, "asks", machine.Ahead(t, e.container(t, asks, &cri.Container{Name: "a"})), machine.Clocks{Monotonic: 2 * hour})
			// ctr names its runtime itself.
			by := machine.Ahead(t, machine.Report(t, e.m.Run("ctr", "run", "--rm", image, "by-ctr", "/probe")))
			agree(t, "by ctr", by, machine.Clocks{})

			e.m.Run("timensctl", "configure", "containerd", "--remove")
			e.m.Snapshot(configured...).Same(t, before)
			e.restart()
			agree(t, "after --remove", machine.Ahead(t, e.container(t, e.pod(t, "", nil), &cri.Container{Name: "a"})), machine.Clocks{})
		})
	}
}
