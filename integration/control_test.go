package integration

import (
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestControl shows that the tests can tell: without the product, a container has
// the host's clocks, and offsets that a runtime writes by itself are seen.
func TestControl(t *testing.T) {
	for _, r := range lowLevels() {
		t.Run(r.key, func(t *testing.T) {
			t.Parallel()
			require(t, r.key, r.problem())
			c := newContainer(t, stack{"none", r})
			annotate(c.spec, "io.timens.boottime", "+36h")
			want{}.check(t, c.created, c.run())
		})
	}
	t.Run("timeOffsets", func(t *testing.T) {
		t.Parallel()
		r := lowLevels()[0]
		require(t, r.key, r.problem())
		c := newContainer(t, stack{"none", r})
		c.spec.Linux.Namespaces = append(c.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		c.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{
			"monotonic": {Secs: -2, Nanosecs: 500_000_000}, "boottime": {Secs: 3600},
		}
		s := c.run()
		want{ahead(-1500 * time.Millisecond), ahead(time.Hour)}.check(t, c.created, s)
	})
}
