package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// example is the file that the documentation shows, and override what differs
// here: there is no busybox image, and no network.
const (
	example  = "../../deploy/examples/compose.yaml"
	override = `services:
  uptime: &here
    image: ` + image + `
    entrypoint: ["/probe", "hold"]
    command: []
    network_mode: none
    stop_grace_period: 2s
  day497: *here
  device: *here
`
)

// TestCompose starts the services of the example.
func TestCompose(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash(example))
	if err != nil {
		t.Fatal(err)
	}
	eachEngine(t, rowCompose, func(h *host) string {
		h.Write("/root/compose.yaml", string(text), 0o644)
		h.Write("/root/override.yaml", override, 0o644)
		h.setUp(modeRuntime)
		compose := func(args ...string) string {
			h.t.Helper()
			out := h.Run(append([]string{"docker", "compose", "--progress=quiet", "-f", "/root/compose.yaml", "-f", "/root/override.yaml"}, args...)...)
			return strings.ReplaceAll(out, "\x1b[2K", "") // which clears a line
		}
		from := bootNow()
		compose("up", "-d", "--wait")
		to := bootNow()
		uptime := machine.Report(h.t, compose("logs", "--no-log-prefix", "uptime"))
		own := machine.Ahead(h.t, uptime)
		for _, zero := range []time.Duration{-own.Boottime, -own.Monotonic} {
			if zero < from || zero > to {
				h.t.Errorf("a clock of uptime was zero at %v, not between %v and %v", zero, from, to)
			}
		}
		if got := machine.Ahead(h.t, machine.Report(h.t, compose("exec", "-T", "uptime", "/probe", "now"))); !got.Near(own) {
			h.t.Errorf("exec sees clocks ahead by %+v, init by %+v", got, own)
		}
		if got := h.docker("inspect", "-f", "{{.State.Health.Status}}", "clocks-uptime-1"); got != "healthy" {
			h.t.Errorf("uptime is %s", got)
		}
		day497 := machine.Ahead(h.t, machine.Report(h.t, compose("logs", "--no-log-prefix", "day497")))
		if want := (machine.Clocks{Boottime: 497 * day}); !day497.Near(want) {
			h.t.Errorf("day497 is ahead by %+v, want %+v", day497, want)
		}
		compose("restart", "day497")
		if got := machine.Ahead(h.t, machine.Report(h.t, compose("exec", "-T", "day497", "/probe", "now"))); !got.Near(day497) {
			h.t.Errorf("restarted, day497 is ahead by %+v, was by %+v", got, day497)
		}
		compose("down")

		h.configure("--mode", modeCDI)
		h.restart()
		from = bootNow()
		compose("up", "-d", "device")
		if zero := -machine.Ahead(h.t, machine.Report(h.t, compose("exec", "-T", "device", "/probe", "now"))).Boottime; zero < from-20*time.Millisecond || zero > bootNow() {
			h.t.Errorf("device was started at %v, and its boottime was zero at %v", from, zero)
		}
		compose("--profile", "cdi", "down")
		return ""
	})
}

// TestComposeRefuses tells a mistake where it is looked for.
func TestComposeRefuses(t *testing.T) {
	t.Parallel()
	h := newHost(t, docker26, runc)
	h.Write("/root/compose.yaml", `services: {one: {image: `+image+`, network_mode: none, runtime: timens, annotations: {io.timens.boottime: "+1x"}}}`, 0o644)
	h.setUp(modeRuntime)
	if out := h.Fail("docker", "compose", "-f", "/root/compose.yaml", "up", "-d"); !strings.Contains(out, whyBad) {
		t.Errorf("docker compose up: %s", out)
	}
}
