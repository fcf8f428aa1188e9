package migration

import (
	"strings"
	"testing"
	"time"
)

// TestOtherKernel moves containers to a later Debian with its kernel and CRIU, and back.
func TestOtherKernel(t *testing.T) {
	t.Parallel()
	from := startHost(t, releases[0])
	to := startHost(t, releases[1])
	l := releases[0].runtimes[0]
	for _, c := range []*traveller{
		{name: "CRIU", tolerance: byCRIU, container: &byHand{"c", l, asked, false, time.Hour}},
		{name: "resumed", tolerance: resumed, container: resumedByHand{&byHand{"db", l, keeps("db"), false, time.Hour}}},
	} {
		c.runtime = l
		t.Run(c.name, func(t *testing.T) {
			c.begin(t, from)
			c.travel(t, from, to)
			c.travel(t, to, from)
			c.end(from.in(t))
		})
	}
}

// behind moves a container to a host whose date is an hour behind: no time has passed
// then, as far as that can be told.
func behind(t *testing.T, from, to *host, l lowLevel) {
	from, to = from.in(t), to.in(t)
	to.Run("date", "-s", "-1 hour")
	defer to.setTime(t)
	c := &byHand{"behind", l, asked, false, time.Hour}
	c.start(from)
	c.move(from, to)
	w := seen(t, to, c)
	for _, s := range w.Steps {
		if g := between(s); w.Backward != 0 || g.realtime < 0 && (g.monotonic < 0 || g.boottime < g.monotonic || g.boottime > time.Minute) {
			t.Errorf("%+v", g)
		}
	}
	if log := to.Run("cat", "/run/timens.log"); !strings.Contains(log, "the wall clock of this host is behind that of the checkpoint") {
		t.Errorf("nobody was warned: %s", log)
	}
	c.end(to)
}

// strangers checks what becomes of a runtime whose exec does not join the time namespace
// of a restored container: what it adds has other clocks, and no checkpoint is taken, as
// that could not be restored.
func strangers(t *testing.T, h *host, c *byHand) {
	c.quietly(h, "exec", "--detach", c.id, "/probe", "hold")
	images := c.dir() + "/refused"
	said := h.Fail(c.command("checkpoint", "--image-path", images, c.id)...)
	const want = `has other clocks than its init`
	if !strings.Contains(said, want) || !strings.Contains(said, `("probe")`) {
		t.Errorf("want %q: %s", want, said)
	}
	h.Run("sh", "-c", `test ! -e "$1"`, "sh", images)
	seen(t, h, c) // which goes on
	h.Run("sh", "-c", `for p in /proc/[0-9]*; do case $(tr '\0' ' ' <$p/cmdline 2>/dev/null) in "/probe hold "*) kill ${p#/proc/};; esac; done`)
}
