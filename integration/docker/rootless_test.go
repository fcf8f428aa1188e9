package docker

import (
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

const (
	home           = "/home/user"
	runtimeDir     = "/run/user/2000"
	rootlessScript = "/usr/share/docker.io/contrib/dockerd-rootless.sh"
)

// rootless gives the host a user whose daemon is started instead of root's.
func (h *host) rootless() {
	h.t.Helper()
	for _, f := range []string{"rootlesskit", "rootlesskit-docker-proxy"} {
		h.Copy(machine.Tool(h.t, "rootlesskit-2.0.2/"+f), "/usr/local/bin/"+f, 0o755)
	}
	h.Run("useradd", "-m", "-u", "2000", "-d", home, "user")
	h.Run("install", "-d", "-o", "2000", "-m", "700", runtimeDir, home+"/.config/docker", home+"/.local/share")
	h.as = []string{
		"HOME=" + home, "XDG_RUNTIME_DIR=" + runtimeDir, "DOCKER_HOST=unix://" + runtimeDir + "/docker.sock",
		// A machine has no network: nor can its daemon have one of its own.
		"DOCKERD_ROOTLESS_ROOTLESSKIT_NET=host", "DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=none",
		"setpriv", "--reuid=2000", "--regid=2000", "--init-groups",
	}
	h.Write(home+"/.config/docker/daemon.json", `{"storage-driver": "vfs"}`, 0o644)
	h.Run("chown", "-R", "2000:2000", home)
}

func TestRootless(t *testing.T) {
	eachEngine(t, rowRootless, func(h *host) string {
		h.rootless()
		same := h.remember()
		for _, mode := range []string{modeRuntime, modeCDI} {
			said := h.configure("--rootless", "--mode", mode)
			if !strings.Contains(said, "systemctl --user re") {
				h.t.Errorf("configure says: %s", said)
			}
			h.start()
			c := h.run(mode, asked(mode)...)
			c.checkAsked()
			c.checkExec()
			c.checkInspect()
			c.begin("restart", c.name)
			c.checkAsked()
			h.run("plain-" + mode).checkHost()
			h.configure("--rootless", "--remove")
			h.stop()
		}
		h.Run("rm", "-rf", home+"/.local/share/docker")
		same()
		return ""
	})
}
