package deploy

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

// node is a machine with containerd, and an unpacked image of ours.
type node struct {
	m   *machine.Machine
	cri *cri.Client
}

const (
	probeImage = "localhost/probe:latest"
	rootfs     = "/srv/image"
	// Without CAP_SYS_RESOURCE nothing may be protected from the OOM killer, and no registry
	// has a pause image.
	containerdConfig = `version = 3 # kept by hand

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/probe:latest'
`
	// In place of a service manager, which machines do not have: as systemctl, the command
	// asks for the restart by a file, as it is in a PID namespace of its own.
	manager = `#!/bin/sh
mkfifo /run/manager.ask /run/manager.done
while :; do
	containerd </dev/null >>/var/log/containerd.log 2>&1 &
	until ctr version >/dev/null 2>&1; do sleep 0.1; done
	echo started >/run/manager.done
	read asked </run/manager.ask
	kill $!
	wait $!
done
`
	restartCommand = `#!/bin/sh
echo restart >/run/manager.ask
read started </run/manager.done
`
)

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{m: machine.New(t, "/")}
	for _, p := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		n.m.Copy(machine.Tool(t, "containerd-2.4.2/"+p), "/usr/local/bin/"+p, 0o755)
	}
	n.m.Copy(machine.Tool(t, "runc-1.5.2"), "/usr/local/sbin/runc", 0o755)
	n.m.Run("rm", "-rf", "/etc/containerd", "/etc/oci-timens", "/opt/oci-timens")
	n.m.Write("/etc/containerd/config.toml", containerdConfig, 0o640)
	n.m.Write("/usr/local/bin/restart-containerd", restartCommand, 0o755)
	n.m.Write("/usr/local/sbin/manager", manager, 0o755)
	for _, p := range []string{"timens-hook", "timens-runc", "timensctl", "timens-install"} {
		n.m.Copy(machine.Program(t, p), rootfs+"/"+p, 0o555)
	}
	n.m.Copy(machine.Image(t, probeImage), "/root/image.tar", 0o644)
	n.m.Run("mkdir", "-p", rootfs+"/proc", rootfs+"/dev", rootfs+"/sys", rootfs+"/host", rootfs+"/config")
	daemon := n.m.Start("/usr/local/sbin/manager")
	daemon.Await(func() error { _, err := os.Stat(n.m.Path("/run/manager.done")); return err })
	n.m.Run("cat", "/run/manager.done")
	n.m.Run("ctr", "-n", "k8s.io", "image", "import", "/root/image.tar")
	client, err := cri.Dial(n.m.Path("/run/containerd/containerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	n.cri = client
	t.Cleanup(func() { client.Close() })
	daemon.Await(func() error { return client.HasImage(t.Context(), probeImage) })
	return n
}

// contained runs a command in a container of the image, with what the manifests give the
// installer: root without capabilities but one, a read-only file system, and the mounts.
func (n *node) contained(t *testing.T, mounts []string, capabilities []string, args ...string) (string, error) {
	t.Helper()
	list := []map[string]any{
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
	}
	for _, m := range mounts {
		from, to, _ := strings.Cut(m, ":")
		list = append(list, map[string]any{"destination": to, "type": "bind", "source": from, "options": []string{"rbind", "rslave"}})
	}
	caps := map[string]any{}
	for _, set := range []string{"bounding", "effective", "permitted"} {
		caps[set] = capabilities
	}
	var namespaces []map[string]any
	for _, ns := range []string{"pid", "mount", "ipc", "uts", "network"} {
		namespaces = append(namespaces, map[string]any{"type": ns})
	}
	config, err := json.Marshal(map[string]any{
		"ociVersion": "1.2.0", "hostname": "pod", "mounts": list,
		"root":    map[string]any{"path": rootfs, "readonly": true},
		"process": map[string]any{"args": args, "cwd": "/", "user": map[string]any{"uid": 0, "gid": 0}, "noNewPrivileges": true, "capabilities": caps},
		"linux":   map[string]any{"namespaces": namespaces, "maskedPaths": []string{"/proc/kcore"}, "readonlyPaths": []string{"/proc/sys"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.m.Write("/run/bundle/config.json", string(config), 0o600)
	o, err := n.m.Try("runc", "run", "--bundle", "/run/bundle", "installer")
	return o.Stdout + o.Stderr, err
}

// whole runs timens-install as the overlays runtimeclass and uninstall do.
func (n *node) whole(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return n.contained(t, []string{"/:/host", "/srv/config:/config"}, []string{"CAP_SYS_CHROOT"}, append([]string{"/timens-install"}, args...)...)
}

func (n *node) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := n.whole(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (n *node) hasHandler(t *testing.T) bool {
	t.Helper()
	for range 100 { // the client connects again after a restart
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		names, err := n.cri.Handlers(ctx)
		cancel()
		if err == nil {
			return slices.Contains(names, "timens")
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("containerd does not answer")
	return false
}

func has(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
}
