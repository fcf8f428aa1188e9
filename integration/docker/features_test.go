package docker

import (
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

// What the rows of the second table are about.
const (
	rowForms    = "create and start, pause, update, --rm, --init, -t, --privileged, --pid=host, --network=container:…, --restart=always"
	rowHealth   = "health checks"
	rowReload   = "SIGHUP is enough after --mode=runtime"
	rowReloadC  = "--mode=cdi works without a restart"
	rowLive     = "live-restore: containers go on through a restart of the daemon"
	rowCompose  = "docker compose: `runtime:` and `annotations:`, CDI devices"
	rowDefault  = "--set-default"
	rowAll      = "--all-containers, with [defaults]"
	rowPolicy   = "what the policy denies is refused"
	rowRemap    = "userns-remap"
	rowRootless = "rootless"
	rowMany     = "40 containers, 8 at a time: nothing is left"
)

var features = &table{
	title:   "Docker: other things, with runc 1.5.2 and in both modes where nothing else is said",
	corner:  []string{""},
	columns: []string{docker26.name, moby2.name},
	order: []string{
		rowForms, rowHealth, rowReload, rowReloadC, rowLive, rowCompose,
		rowDefault, rowAll, rowPolicy, rowRemap, rowRootless, rowMany,
	},
}

// eachEngine runs a test for both kinds of daemon, and keeps what came of it.
func eachEngine(t *testing.T, feature string, f func(h *host) string) {
	t.Parallel()
	for _, e := range []engine{docker26, moby2} {
		t.Run(e.short, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, e, runc)
			features.cell(t, feature, e.name, func() string { return f(h) })
		})
	}
}

// setUp configures a mode and starts the daemon.
func (h *host) setUp(mode string) {
	h.t.Helper()
	h.configure("--mode", mode)
	h.start()
}

func (h *host) remove(c *container) { h.t.Helper(); h.docker("rm", "-f", c.name) }

func TestForms(t *testing.T) {
	eachEngine(t, rowForms, func(h *host) string {
		h.configure("--mode", modeRuntime)
		h.setUp(modeCDI) // in place of the other
		forms(h, modeCDI)
		h.configure("--mode", modeRuntime)
		h.reload()
		forms(h, modeRuntime)
		if !h.engine.cdi {
			return "yes, but --restart=always with --mode=cdi"
		}
		return ""
	})
}

// forms starts containers in all the ways that Docker has.
func forms(h *host, mode string) {
	h.t.Helper()
	once := func(with ...string) {
		h.t.Helper()
		c := &container{h: h, name: "once " + strings.Join(with, " "), from: bootNow()}
		report, err := h.once("once", append(asked(mode), with...)...)
		if err != nil {
			h.t.Fatal(err)
		}
		c.report = machine.Report(h.t, report)
		c.to, c.init = bootNow(), machine.Ahead(h.t, c.report)
		c.checkAsked()
	}
	once()
	once("--init")
	once("--privileged", "--read-only")
	once("--pid=host")
	h.tty(asked(mode))

	c := &container{h: h, name: "created"}
	h.docker(append(append([]string{"create", "--name", c.name}, asked(mode)...), image)...)
	c.begin("start", c.name)
	c.checkAsked()
	c.checkExec()
	h.docker("pause", c.name)
	h.docker("update", "--memory=64m", "--memory-swap=64m", c.name)
	h.docker("unpause", c.name)
	c.checkExec()

	// It shares the network, and has clocks of its own.
	sharing := h.run("sharing", "--network=container:created", "--ipc=host", "--uts=host")
	sharing.checkHost()
	sharing.checkExec()
	h.remove(sharing)
	h.remove(c)

	always(h, mode)
}

// always has a container that the daemon starts when it is started itself. Before
// 28.2 it does so before it knows CDI: github.com/moby/moby/commit/8e57a019dc.
func always(h *host, mode string) {
	h.t.Helper()
	c := h.run("always", append(asked(mode), "--restart=always")...)
	from := bootNow()
	h.restart()
	if mode == modeCDI && !h.engine.cdi {
		if got := h.docker("inspect", "-f", "{{.State.Status}}", c.name); got != "exited" {
			h.t.Errorf("%s, with a device that the daemon does not know yet, is %s", c.name, got)
		}
		c.begin("start", c.name)
	} else {
		c.begin("ps")
		c.from = from
	}
	c.checkAsked()
	c.checkExec()
	h.remove(c)
}

// tty starts a container on a terminal.
func (h *host) tty(options []string) {
	h.t.Helper()
	c := h.run("tty", append([]string{"-t", "-i"}, options...)...)
	c.checkAsked()
	c.checkExec()
	h.remove(c)
}

func TestHealth(t *testing.T) {
	eachEngine(t, rowHealth, func(h *host) string {
		h.setUp(modeRuntime)
		health(h, modeRuntime)
		h.configure("--mode", modeCDI)
		h.restart()
		health(h, modeCDI)
		return ""
	})
}

// health reads the clocks of what Docker runs as a health check.
func health(h *host, mode string) {
	h.t.Helper()
	c := h.run("healthy", append(asked(mode), "--health-cmd=/probe now", "--health-interval=200ms")...)
	var log string
	h.dockerd.Await(func() error {
		var err error
		log, err = waitFor(h.docker("inspect", "-f", "{{range .State.Health.Log}}{{.Output}}{{end}}", c.name), "}")
		return err
	})
	if got := machine.Ahead(h.t, machine.Report(h.t, log)); !got.Near(c.init) {
		h.t.Errorf("the health check sees clocks ahead by %+v, init by %+v", got, c.init)
	}
	h.remove(c)
}

func TestSetDefault(t *testing.T) {
	eachEngine(t, rowDefault, func(h *host) string {
		same := h.remember()
		h.configure("--set-default")
		h.start()
		c := h.run("shifted", "--annotation", zeroBoottime, "--annotation", dayMonotonic)
		c.checkAsked()
		c.checkExec()
		h.run("plain").checkHost()
		h.configure("--remove")
		same()
		// Not a reload: a runtime that has gone from the file stays known after
		// that (daemon/reload_unix.go, moby v26.1.5).
		h.restart()
		h.run("after", "--annotation", zeroBoottime).checkHost()
		// Docker keeps with each container the runtime that it was made with.
		if out := h.Fail("docker", "restart", c.name); !strings.Contains(out, "unknown or invalid runtime name: timens") {
			h.t.Errorf("docker restart: %s", out)
		}
		return ""
	})
}

// TestAllContainers is also the way for a Docker that has no annotations.
func TestAllContainers(t *testing.T) {
	eachEngine(t, rowAll, func(h *host) string {
		h.Write("/etc/oci-timens/config.toml", "[defaults]\nboottime = \"=0\"\nmonotonic = \"+1d\"\n", 0o644)
		same := h.remember()
		h.configure("--all-containers")
		h.start()
		c := h.run("shifted")
		c.checkAsked()
		c.checkExec()
		c.begin("restart", c.name)
		c.checkAsked()
		own := h.run("own", "--annotation", "io.timens.monotonic=+2d")
		if want := (machine.Clocks{Monotonic: 2 * day}); !own.init.Near(want) {
			h.t.Errorf("clocks are ahead by %+v, want %+v", own.init, want)
		}
		h.configure("--remove")
		same()
		h.reload()
		h.run("after").checkHost()
		return ""
	})
}

func TestPolicy(t *testing.T) {
	eachEngine(t, rowPolicy, func(h *host) string {
		h.Write("/etc/oci-timens/config.toml", "[policy]\nclocks = [\"boottime\"]\nmax-offset = \"2d\"\n", 0o644)
		h.setUp(modeRuntime)
		denied(h, modeRuntime)
		h.configure("--mode", modeCDI)
		h.restart()
		denied(h, modeCDI)
		return ""
	})
}

// denied starts containers that ask for what they may not have, in every way in
// which Docker tells it.
func denied(h *host, mode string) {
	h.t.Helper()
	for annotation, want := range map[string]string{
		dayMonotonic:               `annotation "io.timens.monotonic": "+1d" is denied by the configuration of this host`,
		"io.timens.boottime=+3d":   `annotation "io.timens.boottime": "+3d" is denied by the configuration of this host`,
		"io.timens.boottime=-400d": `annotation "io.timens.boottime": "-400d"`,
		"io.timens.realtime=+1d":   `annotation "io.timens.realtime" is unknown`,
		"io.timens.boottime=":      `annotation "io.timens.boottime"`,
	} {
		args := append(append([]string{"--name", "denied"}, options(mode)...), "--annotation", annotation, image)
		check := func(how, out string) {
			h.t.Helper()
			if strings.Count(out, want) != 1 {
				h.t.Errorf("%s with %s says %s\nwant %s", how, annotation, out, want)
			}
		}
		check("docker run", h.Fail(append([]string{"docker", "run", "--rm"}, args...)...))
		check("docker run -d", h.Fail(append([]string{"docker", "run", "-d", "--rm"}, args...)...))
		h.docker(append([]string{"create"}, args...)...)
		check("docker start", h.Fail("docker", "start", "denied"))
		check("docker inspect", h.docker("inspect", "-f", "{{.State.Error}}", "denied"))
		h.docker("rm", "denied")
	}
	if mode == modeRuntime {
		h.run("allowed", append(options(mode), "--annotation", "io.timens.boottime=+1d")...)
	}
	if left := h.docker("ps", "-q", "--filter", "name=denied"); left != "" {
		h.t.Errorf("runs: %s", left)
	}
}
