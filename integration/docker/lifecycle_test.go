package docker

import (
	"strings"
	"testing"
	"time"
)

const (
	modeRuntime = "runtime"
	modeCDI     = "cdi"
	device      = "oci-timens/clock=annotated"
)

// What the columns of the table are about.
const (
	colInit     = "init"
	colExec     = "docker exec"
	colRestart  = "restart, stop and start"
	colPlain    = "without annotations"
	colInspect  = "timensctl inspect"
	colRefusal  = "bad annotation"
	colRemove   = "removed again"
	startsNone  = "the engine starts nothing"
	needsNewer  = `runc create failed: namespace {"time" ""} does not exist`
	badBoottime = "io.timens.boottime=+1x"
	whyBad      = `annotation "io.timens.boottime": "+1x": unknown unit "x" (units are d h m s ms us ns) at position 3`
)

var lifecycle = &table{
	title:   "Docker: what `timensctl configure docker --mode=…` gives, by low-level runtime",
	corner:  []string{"engine", "mode", "low-level runtime"},
	columns: []string{colInit, colExec, colRestart, colInspect, colPlain, colRefusal, colRemove},
	order:   lifecycleRows(),
}

func lifecycleRows() (rows []string) {
	each(func(e engine, low lowlevel, mode string) { rows = append(rows, row(e, low, mode)) })
	return rows
}

func row(e engine, low lowlevel, mode string) string {
	return strings.Join([]string{e.name, mode, low.name}, "|")
}

func each(f func(e engine, low lowlevel, mode string)) {
	for _, e := range []engine{docker26, moby2, moby2c2} {
		for _, mode := range []string{modeRuntime, modeCDI} {
			for _, low := range []lowlevel{runc1, runc, crun} {
				if e != moby2c2 || low == runc {
					f(e, low, mode)
				}
			}
		}
	}
}

// options are what a container is started with in a mode.
func options(mode string) []string {
	if mode == modeCDI {
		return []string{"--device", device}
	}
	return []string{"--runtime", "timens"}
}

// asked adds the annotations that checkAsked checks.
func asked(mode string) []string {
	return append(options(mode), "--annotation", zeroBoottime, "--annotation", dayMonotonic)
}

// TestLifecycle sets a daemon up, runs containers, and takes it out again.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	each(func(e engine, low lowlevel, mode string) {
		t.Run(strings.Join([]string{e.short, mode, low.name}, "-"), func(t *testing.T) {
			t.Parallel()
			h := newHost(t, e, low)
			cell := func(column string, step func() string) { lifecycle.cell(t, row(e, low, mode), column, step) }
			same := h.remember()
			h.start()
			h.configure("--mode", mode)
			if mode == modeRuntime {
				h.reload()
			} else if !e.cdi {
				h.restart()
			}
			checkSays(h, mode)
			cell(colPlain, func() string { return plain(h, mode) })
			var c *container
			cell(colInit, func() (text string) { c, text = shifted(h, mode); return text })
			if c != nil {
				cell(colExec, c.checkExec)
				cell(colInspect, func() string { c.checkInspect(); return "" })
				cell(colRestart, func() string { restarted(c); return "" })
			}
			cell(colRefusal, func() string { return refused(h, mode) })
			cell(colRemove, func() string {
				h.configure("--remove")
				same()
				h.restart()
				return plain(h, "")
			})
		})
	})
}

// cannot tells that the engine asks for time namespaces that this runtime does
// not know: nothing starts, with or without us.
func (h *host) cannot() bool { return h.engine.timeNamespaces && h.low == runc1 }

// plain starts containers that ask for nothing.
func plain(h *host, mode string) string {
	h.t.Helper()
	if h.cannot() {
		if out := h.Fail("docker", "run", "--rm", image); !strings.Contains(out, needsNewer) {
			h.t.Errorf("docker run: %s", out)
		}
		return startsNone
	}
	h.run("plain").checkHost()
	if mode != "" {
		h.run("idle", options(mode)...).checkHost()
		h.docker("rm", "-f", "idle")
	}
	h.docker("rm", "-f", "plain")
	return ""
}

// shifted starts a container that has its own clocks.
func shifted(h *host, mode string) (*container, string) {
	h.t.Helper()
	if h.cannot() && mode == modeCDI {
		if out := h.Fail(append(append([]string{"docker", "run"}, asked(mode)...), image)...); !strings.Contains(out, needsNewer) {
			h.t.Errorf("docker run: %s", out)
		}
		return nil, startsNone
	}
	c := h.run("shifted", asked(mode)...)
	c.checkAsked()
	return c, ""
}

// restarted starts the container anew: uptime begins at zero again, and offsets stay.
func restarted(c *container) {
	c.h.t.Helper()
	c.begin("restart", c.name)
	c.checkAsked()
	c.checkExec()
	c.h.docker("stop", c.name)
	time.Sleep(20 * time.Millisecond) // more than the tick that "=0" may be early
	c.begin("start", c.name)
	c.checkAsked()
	c.checkExec()
	c.checkInspect()
}

// refused starts a container with an annotation that means nothing.
func refused(h *host, mode string) string {
	h.t.Helper()
	if h.cannot() && mode == modeCDI {
		return startsNone
	}
	args := append(append([]string{"docker", "run", "--name", "bad"}, options(mode)...), "--annotation", badBoottime, image)
	out := h.Fail(args...)
	state := h.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}", "bad")
	want, text := whyBad, ""
	if h.low == crun && mode == modeCDI {
		// crun 1.21, src/libcrun/container.c: it keeps what hooks write to itself.
		if log := h.Run("cat", logFile); !strings.Contains(log, strings.ReplaceAll(whyBad, `"`, `\"`)) {
			h.t.Errorf("%s holds %s\nwant %s", logFile, log, whyBad)
		}
		want, text = "error executing hook `/usr/libexec/oci/hooks.d/timens-hook` (exit code: 1)", "refused; why is in log-file alone"
	}
	if !strings.Contains(out, want) || !strings.Contains(state, want) || !strings.HasPrefix(state, "created 128 ") {
		h.t.Errorf("docker run: %s\nstate: %s\nwant %s", out, state, want)
	}
	h.docker("rm", "bad")
	return text
}

// checkSays has timensctl check foretell what is seen afterwards. Of a CDI device
// it cannot know with which of the daemon's runtimes it will be used: it takes
// runc.
func checkSays(h *host, mode string) {
	h.t.Helper()
	if mode == modeCDI && h.low == crun {
		return
	}
	_, docker, _ := strings.Cut(h.Run("timensctl", "check"), "\ndocker")
	want := "✗ exec: "
	if h.low.exec {
		want = "✓ exec: "
	}
	for _, want := range []string{want, "✓ init: "} {
		if !strings.Contains(docker, "\n  "+want) {
			h.t.Errorf("timensctl check says: docker%s\nwant %s", docker, want)
		}
	}
}
