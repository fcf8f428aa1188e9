package migration

import "testing"

// TestPlain is the comparison: what CRIU does by itself, without a shim. It is here for
// what it logs, and shows that these hosts can move containers.
func TestPlain(t *testing.T) {
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			elder, younger := startHosts(t, r)
			c := &byHand{runtime: r.runtimes[len(r.runtimes)-1], plain: true, id: "plain", timers: timersAfter}
			c.start(elder)
			for _, hop := range [][2]*host{{elder, younger}, {younger, elder}} {
				c.move(hop[0], hop[1])
				g := judge(t, seen(t, hop[1], c))
				t.Logf("%s: REALTIME +%v, MONOTONIC +%v, BOOTTIME +%v", c.runtime.version, g.realtime, g.monotonic, g.boottime)
			}
		})
	}
}
