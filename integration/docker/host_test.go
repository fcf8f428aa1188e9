package docker

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
)

const debian13 = "debian13-1"

// engine is a Docker daemon and the containerd that it uses.
type engine struct {
	name       string
	short      string // for names of tests
	dockerd    string // below .tools, "" for Debian's
	containerd string // a folder below .tools, "" for Debian's, which dockerd starts itself

	// since 28.2, github.com/moby/moby/pull/49963: before, features.cdi is to be set
	cdi bool
	// since 29.5, daemon/pkg/oci/defaults.go: each container has a time namespace
	timeNamespaces bool
}

var (
	docker26 = engine{name: "docker 26.1.5, containerd 1.7.24", short: "docker26"}
	moby2    = engine{
		name: "moby 2.0.0-beta.24, containerd 1.7.24", short: "moby2", dockerd: "moby-2.0.0-beta.24/dockerd",
		cdi: true, timeNamespaces: true,
	}
	moby2c2 = engine{
		name: "moby 2.0.0-beta.24, containerd 2.4.2", short: "moby2-containerd2", dockerd: moby2.dockerd, containerd: "containerd-2.4.2",
		cdi: true, timeNamespaces: true,
	}
)

// lowlevel is a low-level runtime.
type lowlevel struct {
	name string
	path string // where it is put, or has been
	tool string // below .tools, "" for Debian's
	// exec joins the time namespace of a container
	exec bool
}

var (
	runc1 = lowlevel{name: "runc 1.1.15", path: "/usr/sbin/runc"}
	runc  = lowlevel{name: "runc 1.5.2", path: "/usr/local/sbin/runc", tool: "runc-1.5.2", exec: true}
	crun  = lowlevel{name: "crun 1.21", path: "/usr/bin/crun", exec: true}
)

// host is a machine with Docker.
type host struct {
	*machine.Machine
	t      testing.TB
	engine engine
	low    lowlevel
	// as is put before the commands of a user with a daemon of their own.
	as []string
	// what runs, nil when it does not
	dockerd, containerd *machine.Daemon
}

const (
	image      = "localhost/probe:latest"
	imageFile  = "/image.tar"
	daemonJSON = "/etc/docker/daemon.json"
	cdiSpec    = "/etc/cdi/oci-timens.json"
	logFile    = "/var/log/oci-timens.log"
)

// newHost makes a machine with our programs in it, and no daemon running. The
// low-level runtime is the daemon's default, and the one that the shim finds.
func newHost(t testing.TB, e engine, low lowlevel) *host {
	t.Helper()
	h := &host{Machine: machine.New(t, machine.Tool(t, debian13)), t: t, engine: e, low: low}
	h.Install()
	if e.dockerd != "" {
		h.Copy(machine.Tool(t, e.dockerd), "/usr/local/sbin/dockerd", 0o755)
	}
	if e.containerd != "" {
		for _, f := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
			h.Copy(machine.Tool(t, e.containerd+"/"+f), "/usr/local/bin/"+f, 0o755)
		}
	}
	if low.tool != "" {
		h.Copy(machine.Tool(t, low.tool), low.path, 0o755)
	}
	if low == crun {
		h.Write("/etc/oci-timens/config.d/crun.toml", "runtimes = [\"crun\"]\nlog-file = \""+logFile+"\"\n", 0o644)
		h.Write(daemonJSON, crunJSON, 0o644)
	}
	h.Copy(machine.Image(t, image), imageFile, 0o644)
	return h
}

// crunJSON is laid out as no program would do it.
const crunJSON = `{
   "default-runtime": "crun"
 , "runtimes"       : { "crun": {"path": "/usr/bin/crun"} }
 , "log-opts"       : {"max-size":"10m"}, "labels":["a=\u003cb\u003e"]
}`

// start starts the daemon, waits until it answers, and lets it have the image.
func (h *host) start() {
	h.t.Helper()
	program := "dockerd"
	if h.as != nil {
		program = rootlessScript
	}
	args := []string{program, "--userland-proxy=false", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"}
	if h.engine.containerd != "" {
		const socket = "/run/containerd/containerd.sock"
		if h.containerd == nil {
			h.containerd = h.Start("containerd")
			h.containerd.Await(func() error { _, err := os.Stat(h.Path(socket)); return err })
		}
		args = append(args, "--containerd="+socket)
	}
	h.dockerd = h.Start(slices.Concat(h.as, args)...)
	h.dockerd.Await(func() error { _, err := h.Try(slices.Concat(h.as, []string{"docker", "ps"})...); return err })
	h.docker("load", "-q", "-i", imageFile)
}

func (h *host) stop() {
	h.t.Helper()
	h.dockerd.Stop()
	h.dockerd = nil
}

func (h *host) restart() {
	h.t.Helper()
	h.stop()
	h.start()
}

// reload lets the daemon read its file again, as "systemctl reload docker" does.
func (h *host) reload() {
	h.t.Helper()
	count := func() int {
		return strings.Count(h.dockerd.Log(), "econfigur") + strings.Count(h.dockerd.Log(), "eloaded conf")
	}
	before := count()
	h.dockerd.Signal(unix.SIGHUP)
	h.dockerd.Await(func() error {
		if count() == before {
			return errors.New("not reloaded")
		}
		return nil
	})
}

func (h *host) docker(args ...string) string {
	h.t.Helper()
	return h.Run(slices.Concat(h.as, []string{"docker"}, args)...)
}

// configure runs timensctl configure docker.
func (h *host) configure(args ...string) string {
	h.t.Helper()
	return h.Run(slices.Concat(h.as, []string{"timensctl", "configure", "docker"}, args)...)
}

// remember returns a check that all files are as they are now.
func (h *host) remember() (same func()) {
	h.t.Helper()
	files := func() machine.Files {
		return h.Snapshot("/etc", "/var/lib/oci-timens", home+"/.config", home+"/.local")
	}
	before := files()
	return func() { h.t.Helper(); files().Same(h.t, before) }
}
