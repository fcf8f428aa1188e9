package podman

import (
	"strings"
	"testing"
)

// refusals are requests that are not granted. Whoever started the container reads
// why, on podman's standard error, and nothing of it is left.
func (c *cell) refusals(t *testing.T) (limit string) {
	c.setup(c.lowLevel, "[policy]\nmax-offset = \"10d\"\n")
	defer c.setup(c.lowLevel, "")
	for _, tt := range []struct{ how, key, value, want string }{
		{"--tty=false", "io.timens.boottime", "+1x", `annotation "io.timens.boottime": "+1x": unknown unit "x" (units are d h m s ms us ns) at position 3`},
		{"--tty=false", "io.timens.realtime", "+1h", `annotation "io.timens.realtime" is unknown`},
		{"--tty=false", "io.timens.monotonic", "-400d", `annotation "io.timens.monotonic": "-400d": offset -400d would set CLOCK_MONOTONIC to `},
		{"--tty=false", "io.timens.monotonic", "+11d", `annotation "io.timens.monotonic": "+11d" is denied by the configuration of this host: the offset +11d is above policy.max-offset +10d`},
		{"--detach", "io.timens.boottime", "bad", `annotation "io.timens.boottime": "bad": 'b' where a digit is needed at position 1`},
	} {
		limit = c.expectSaid(t, tt.want, "run", "--rm", tt.how, "--annotation="+tt.key+"="+tt.value, image, "now")
	}
	c.do(t, "create", "--name=refused", "--annotation=io.timens.boottime=", image)
	limit = c.expectSaid(t, `annotation "io.timens.boottime"`, "start", "refused")
	c.do(t, "rm", "--force", "refused")
	if left := c.do(t, "ps", "--all", "--quiet"); left != "" {
		t.Errorf("containers are left: %s", left)
	}
	return limit
}

// expectSaid checks what podman says when it fails.
func (c *cell) expectSaid(t *testing.T, want string, args ...string) (limit string) {
	t.Helper()
	c.Write(logFile, "", 0o666)
	said := plain(c.podmanFails(t, with(c.flags, args)...))
	if strings.Contains(said, want) {
		return ""
	}
	t.Errorf("podman %s: said\n%swant\n%s", strings.Join(args, " "), said, want)
	return ""
}

// plain takes out the quoting of a log line or message within another.
func plain(s string) string { return strings.ReplaceAll(s, `\"`, `"`) }
