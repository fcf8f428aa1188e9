package docker

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// TestReload finds out what a running daemon needs to take up what is written.
func TestReload(t *testing.T) {
	eachEngine(t, rowReload, func(h *host) string {
		h.start()
		run := append(append([]string{"docker", "run", "--rm"}, asked(modeRuntime)...), image, "now")
		if out := h.Fail(run...); !strings.Contains(out, "unknown or invalid runtime name: timens") {
			h.t.Errorf("before: %s", out)
		}
		if said := h.configure("--mode", modeRuntime); !strings.Contains(said, "systemctl reload docker") {
			h.t.Errorf("configure says: %s", said)
		}
		h.reload()
		h.run("shifted", asked(modeRuntime)...).checkAsked()
		return ""
	})
}

// TestUnconfigured uses a daemon that knows nothing of us.
func TestUnconfigured(t *testing.T) {
	eachEngine(t, rowReloadC, func(h *host) string {
		before := h.remember()
		h.start()
		said := h.configure("--mode", modeCDI)
		run := append(append([]string{"docker", "run", "--rm"}, asked(modeCDI)...), image, "now")
		text := ""
		if !h.engine.cdi {
			text = "no, a restart"
			if !strings.Contains(said, "systemctl restart docker") {
				h.t.Errorf("configure says: %s", said)
			}
			for _, more := range []func(){func() {}, h.reload} {
				more()
				if out := h.Fail(run...); !strings.Contains(out, `could not select device driver "cdi" with capabilities: []`) {
					h.t.Errorf("before a restart: %s", out)
				}
			}
			h.restart()
		}
		c := h.run("shifted", asked(modeCDI)...)
		c.checkAsked()
		c.checkExec()

		// A container with the device stays as it is until it is started again.
		h.configure("--remove")
		before()
		c.checkExec()
		if out := h.Fail("docker", "restart", c.name); !strings.Contains(out, "unresolvable CDI devices "+device) {
			h.t.Errorf("restarting it without the device: %s", out)
		}
		h.run("plain").checkHost()
		return text
	})
}

// TestLiveRestore restarts the daemon while containers run, and sets it up or not
// meanwhile.
func TestLiveRestore(t *testing.T) {
	eachEngine(t, rowLive, func(h *host) string {
		h.Write(daemonJSON, `{"live-restore": true, "features": {"cdi": true}}`, 0o600)
		h.configure("--mode", modeCDI)
		h.start()
		byHook := h.run("hook", asked(modeCDI)...)
		plain := h.run("plain")
		h.configure("--mode", modeRuntime)
		h.reload()
		byShim := h.run("shim", asked(modeRuntime)...)
		for _, then := range []func(){
			func() {}, func() { h.configure("--mode", modeCDI) }, func() { h.configure("--remove") },
		} {
			then()
			h.restart()
			if got := h.docker("ps", "-q"); len(strings.Fields(got)) != 3 {
				h.t.Errorf("running: %s", got)
			}
			for _, c := range []*container{byHook, plain, byShim} {
				c.checkExec()
			}
			byHook.checkInspect()
			byShim.checkInspect()
		}
		return ""
	})
}

// TestUserns lets the daemon give each container a user namespace.
func TestUserns(t *testing.T) {
	eachEngine(t, rowRemap, func(h *host) string {
		h.Write(daemonJSON, `{"userns-remap": "default"}`, 0o644)
		h.configure("--mode", modeRuntime)
		h.start()
		for _, mode := range []string{modeRuntime, modeCDI} {
			if mode == modeCDI {
				h.configure("--mode", modeCDI)
				h.restart()
			}
			c := h.run(mode, asked(mode)...)
			c.checkAsked()
			c.checkExec()
			c.checkInspect()
			if ids := h.docker("exec", c.name, "sh", "-c", "cat /proc/self/uid_map"); !strings.Contains(ids, "100000") {
				h.t.Errorf("user IDs: %s", ids)
			}
			h.run("plain-" + mode).checkHost()
		}
		return ""
	})
}

// TestTimeNamespacesOff takes its default time namespace from the daemon: exec
// then joins as with Docker before 29.5.
func TestTimeNamespacesOff(t *testing.T) {
	t.Parallel()
	e := moby2
	e.timeNamespaces = false
	for _, low := range []lowlevel{runc, runc1} {
		t.Run(low.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, e, low)
			h.Write(daemonJSON, `{"features": {"time-namespaces": false}}`, 0o644)
			h.configure("--mode", modeRuntime)
			h.setUp(modeCDI)
			c := h.run("shifted", asked(modeCDI)...)
			c.checkAsked()
			c.checkExec()
			h.run("plain").checkHost()
		})
	}
}

// TestPoststart takes the hook for exec out of the device: only a daemon that gives
// each container a time namespace can do without it.
func TestPoststart(t *testing.T) {
	t.Parallel()
	for _, e := range []engine{docker26, moby2} {
		t.Run(e.short, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, e, runc)
			h.setUp(modeCDI)
			text, err := os.ReadFile(h.Path(cdiSpec))
			if err != nil {
				t.Fatal(err)
			}
			h.Write(cdiSpec, strings.ReplaceAll(string(text), `"poststart"`, `"createRuntime"`), 0o644)
			c := h.run("shifted", asked(modeCDI)...)
			c.checkAsked()
			want := machine.Clocks{}
			if e.timeNamespaces {
				want = c.init
			}
			if got := c.exec(); !got.Near(want) {
				t.Errorf("exec sees clocks ahead by %+v, want %+v", got, want)
			}
		})
	}
}

// TestMany starts containers as fast as it goes, and looks for what they leave.
func TestMany(t *testing.T) {
	eachEngine(t, rowMany, func(h *host) string {
		h.setUp(modeCDI)
		h.run("first", asked(modeCDI)...)
		h.docker("rm", "-f", "first")
		mounts, processes := h.left()
		const all, atOnce = 40, 8
		next := make(chan int)
		var wait sync.WaitGroup
		for range atOnce {
			wait.Go(func() {
				for n := range next {
					if err := h.one(n); err != nil {
						h.t.Error(err)
					}
				}
			})
		}
		for n := range all {
			next <- n
		}
		close(next)
		wait.Wait()
		h.dockerd.Await(func() error {
			if m, p := h.left(); m != mounts || p > processes {
				return errors.New(h.Run("ps", "-e") + "\n" + h.Run("cat", "/proc/self/mounts"))
			}
			return nil
		})
		if got := h.Run("timensctl", "ps"); strings.Count(got, "\n") != 1 { // a headline, and the machine's own
			h.t.Errorf("time namespaces are left:\n%s", got)
		}
		return ""
	})
}

// one runs a container whose monotonic clock tells which one it is.
func (h *host) one(n int) error {
	days := strconv.Itoa(n)
	report, err := h.once("days-"+days, append(options(modeCDI), "--annotation", "io.timens.monotonic="+days+"d")...)
	if err != nil {
		return err
	}
	got := machine.Ahead(h.t, machine.Report(h.t, report)).Monotonic
	if (got - time.Duration(n)*day).Abs() > time.Second {
		return errors.New("container " + days + " has its monotonic clock ahead by " + got.String())
	}
	return nil
}

// left counts the machine's mounts and processes.
func (h *host) left() (mounts, processes int) {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(h.PID()), "mounts"))
	if err != nil {
		h.t.Fatal(err)
	}
	list, err := filepath.Glob(h.Path("/proc/[0-9]*"))
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Count(string(text), "\n"), len(list)
}
