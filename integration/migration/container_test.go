package migration

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// container is one that can be moved.
type container interface {
	start(h *host)
	move(from, to *host)
	pid(h *host) string
	exec(h *host, args ...string) string
	end(h *host)
}

const (
	// watchFile is where the probe writes what it has seen, in the container.
	watchFile = "/tmp/watch"
	// away is how long a container is no process anywhere, at least.
	away = 2 * time.Second
)

// asked are the clocks of all containers: far from those of any host here.
var asked = map[string]string{"io.timens.monotonic": "+100d", "io.timens.boottime": "+497d"}

// byHand is a container of a low-level runtime.
type byHand struct {
	id          string
	runtime     lowLevel
	annotations map[string]string
	plain       bool // without the shim
	timers      time.Duration
}

func (c *byHand) dir() string { return filepath.Join("/run/containers", c.id) }

func (c *byHand) command(args ...string) []string {
	program := "timens-runc"
	if c.plain {
		program = c.runtime.path
	}
	return append([]string{"TIMENS_CONFIG=" + c.dir() + "/config.toml", program, "--root", c.dir() + "/root", "--log", c.dir() + "/log"}, args...)
}

// quietly runs a command whose container may not have the guest's files as its standard
// streams: CRIU finds no mount for them. It shows the log of the runtime instead.
func (c *byHand) quietly(h *host, args ...string) {
	const script = `log=$1; shift; "$@" </dev/null >/dev/null 2>&1 || { cat "$log"; exit 1; }`
	h.Run(append([]string{"sh", "-c", script, "sh", c.dir() + "/log", "env"}, c.command(args...)...)...)
}

func (c *byHand) prepare(h *host) {
	h.Write(c.dir()+"/config.toml", "runtimes = [\""+c.runtime.path+"\"]\nlog-file = \"/run/timens.log\"\n", 0o644)
	h.Run("mkdir", "-p", c.dir()+"/root")
}

func (c *byHand) start(h *host) {
	h.Run("mkdir", "-p", c.dir()+"/bundle/rootfs/proc", c.dir()+"/bundle/rootfs/dev", c.dir()+"/bundle/rootfs/tmp")
	h.Run("cp", probePath, c.dir()+"/bundle/rootfs/probe")
	c.run(h)
}

// run starts it in the bundle that is there.
func (c *byHand) run(h *host) {
	c.prepare(h)
	h.Write(c.dir()+"/bundle/config.json", c.spec(), 0o644)
	c.quietly(h, "run", "--detach", "--bundle", c.dir()+"/bundle", c.id)
}

func (c *byHand) spec() string {
	namespaces := []map[string]string{}
	for _, n := range []string{"pid", "mount", "ipc", "uts"} {
		namespaces = append(namespaces, map[string]string{"type": n})
	}
	text, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2",
		"process": map[string]any{
			"user": map[string]int{"uid": 0, "gid": 0}, "cwd": "/", "env": []string{"PATH=/"},
			"args": []string{"/probe", "watch", watchFile, c.timers.String()},
		},
		"root":        map[string]any{"path": "rootfs"},
		"annotations": c.annotations,
		"mounts": []map[string]any{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
		},
		"linux": map[string]any{"cgroupsPath": "/" + c.id, "namespaces": namespaces},
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (c *byHand) move(from, to *host) {
	images := c.dir() + "/images"
	from.Run("rm", "-rf", images)
	from.Run(c.command("checkpoint", "--image-path", images, c.id)...)
	c.prepare(to)
	from.Send(to.Guest, c.dir()+"/bundle", images)
	from.Run("rm", "-rf", c.dir()+"/bundle", images)
	time.Sleep(away)
	c.quietly(to, "restore", "--detach", "--bundle", c.dir()+"/bundle", "--image-path", images, c.id)
}

func (c *byHand) pid(h *host) string {
	var state struct{ PID json.Number }
	if err := json.Unmarshal([]byte(h.Run(c.command("state", c.id)...)), &state); err != nil {
		panic(err)
	}
	return state.PID.String()
}

func (c *byHand) exec(h *host, args ...string) string {
	return h.Run(c.command(append([]string{"exec", c.id}, args...)...)...)
}

func (c *byHand) end(h *host) { h.Run(c.command("delete", "--force", c.id)...) }

// podman is a container of podman, with the shim as its runtime.
type podman struct {
	id          string
	annotations map[string]string
	timers      time.Duration
}

const image = "localhost/probe:latest"

const podmanSettings = `[containers]
netns = "host"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`

// setUpPodman makes podman use the shim, and the shim a runtime. The archive holds the
// image, which has to be the same on both hosts.
func setUpPodman(t *testing.T, h *host, archive string) {
	l := h.runtimes[0]
	h.expect(t, h.podman, "podman", "--version")
	h.Write("/etc/containers/containers.conf.d/10-guest.conf", podmanSettings, 0o644)
	h.Write("/etc/oci-timens/config.toml", "runtimes = [\""+l.path+"\"]\nlog-file = \"/run/timens.log\"\n", 0o644)
	h.Run("timensctl", "configure", "podman", "--mode=runtime", "--set-default")
	h.Copy(archive, "/run/image.tar", 0o644)
	h.Run("podman", "load", "-q", "-i", "/run/image.tar")
}

// state is where it keeps what it wants to find again.
func (c podman) state() string { return "/run/state-" + c.id }

func (c podman) start(h *host) {
	h.Run("mkdir", "-p", c.state())
	args := []string{"podman", "run", "-d", "--name", c.id, "--volume", c.state() + ":/tmp"}
	for key, value := range c.annotations {
		args = append(args, "--annotation", key+"="+value)
	}
	h.Run(append(args, image, "watch", watchFile, c.timers.String())...)
}

func (c podman) move(from, to *host) {
	archive := "/run/" + c.id + ".tar"
	from.Run("podman", "container", "checkpoint", "--compress", "none", "--export", archive, c.id)
	from.Run("podman", "rm", c.id)
	from.Send(to.Guest, archive, c.state())
	time.Sleep(away)
	to.Run("podman", "container", "restore", "--import", archive)
}

func (c podman) pid(h *host) string {
	return h.Run("podman", "inspect", "--format", "{{.State.Pid}}", c.id)
}

func (c podman) exec(h *host, args ...string) string {
	return h.Run(append([]string{"podman", "exec", c.id}, args...)...)
}

func (c podman) end(h *host) { h.Run("podman", "rm", "--force", "--time", "0", c.id) }

// execReport is what a process sees that is added to a container.
func execReport(t *testing.T, h *host, c container) probe.Report {
	t.Helper()
	out := c.exec(h, "/probe")
	if !strings.HasPrefix(out, "{") {
		t.Fatalf("exec wrote %q", out)
	}
	return machine.Report(t, out)
}
