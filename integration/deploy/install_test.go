package deploy

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

var (
	installArgs   = []string{"install", "--config=/config/config.toml", "--engine=containerd"}
	uninstallArgs = []string{"uninstall", "--engine=containerd"}
	restart       = "--restart=/usr/local/bin/restart-containerd"
)

// TestInstaller installs from a container, has a pod use it, upgrades under the pod, and
// takes it all away.
func TestInstaller(t *testing.T) {
	n := newNode(t)
	n.m.Write("/srv/config/config.toml", "[policy]\nmax-offset = \"30d\"\n", 0o644)
	places := []string{"/etc", "/opt", "/var/lib/oci-timens"}
	before := n.m.Snapshot(places...)

	out := n.must(t, installArgs...)
	has(t, out, "installed /opt/oci-timens/versions/test-", "wrote /etc/oci-timens/config.d/90-kubernetes.toml",
		"changed /etc/containerd/config.toml", "It has not been restarted. Restart containerd: systemctl restart containerd")
	if strings.Contains(out, "this kernel cannot") {
		t.Error(out)
	}
	if n.hasHandler(t) {
		t.Error("containerd knows of it before it was restarted")
	}
	has(t, n.must(t, append(installArgs, restart)...), "restarting containerd: /usr/local/bin/restart-containerd")
	if !n.hasHandler(t) {
		t.Fatal("containerd has no handler")
	}
	has(t, n.must(t, append(installArgs, restart)...), "is installed already", "containerd is set up already")

	p := &cri.Pod{Name: "one", Namespace: "default", UID: "one", Handler: "timens", Annotations: map[string]string{"io.timens.boottime": "+29d"}}
	if err := n.cri.RunPodSandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	n.checkClocks(t, p)
	refused := *p
	refused.UID, refused.Annotations = "two", map[string]string{"io.timens.boottime": "+31d"}
	if err := n.cri.RunPodSandbox(t.Context(), &refused); err == nil || !strings.Contains(err.Error(), "policy.max-offset") {
		t.Errorf("the cluster's policy does not hold: %v", err)
	}

	// Another version, while containers of the old one are there.
	n.m.Run("sh", "-c", "echo >>"+rootfs+"/timens-hook")
	has(t, n.must(t, append(installArgs, restart)...), "installed /opt/oci-timens/versions/test-", "containerd is set up already")
	n.checkClocks(t, p)

	used := n.m.Snapshot(places...)
	out, err := n.whole(t, append(uninstallArgs, restart)...)
	if err == nil {
		t.Fatal("programs that containers need were removed")
	}
	has(t, out, "timens-install: nothing is removed: 3 containers of this node, such as ",
		", have /opt/oci-timens/current/timens-runc as their runtime, and could not be stopped without it: delete the pods with runtimeClassName: timens, or drain the node")
	n.m.Snapshot(places...).Same(t, used)
	for _, do := range []func(context.Context, *cri.Pod) error{n.cri.StopPodSandbox, n.cri.RemovePodSandbox} {
		if err := do(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	has(t, n.must(t, append(uninstallArgs, restart)...), "changed /etc/containerd/config.toml", "restarting containerd: ",
		"removed /etc/oci-timens/config.d/90-kubernetes.toml", "removed /opt/oci-timens")
	n.m.Snapshot(places...).Same(t, before)
	if n.hasHandler(t) {
		t.Error("the handler is still there")
	}
	n.must(t, uninstallArgs...)
	n.m.Snapshot(places...).Same(t, before)
}

// checkClocks runs a container in the pod, and asks the probe in it.
func (n *node) checkClocks(t *testing.T, p *cri.Pod) {
	t.Helper()
	o := &cri.Container{Name: fmt.Sprintf("c%d", time.Now().UnixNano()), Image: probeImage}
	err := n.cri.CreateContainer(t.Context(), p, o)
	if err == nil {
		err = n.cri.StartContainer(t.Context(), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := n.cri.ExecSync(t.Context(), o, "/probe")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := machine.Ahead(t, machine.Report(t, text)), (machine.Clocks{Boottime: 29 * 24 * time.Hour}); !got.Near(want) {
		t.Errorf("ahead by %+v, want %+v", got, want)
	}
}

// TestInstallerWithoutEngine installs with the rights of the base, which are none: what
// the hook needs is there, and nothing else of the node is in its reach.
func TestInstallerWithoutEngine(t *testing.T) {
	n := newNode(t)
	n.m.Write("/srv/config/config.toml", "# nothing\n", 0o644)
	n.m.Run("mkdir", "-p", "/opt/oci-timens", "/etc/oci-timens") // as kubelet does
	mounts := []string{"/opt/oci-timens:/host/opt/oci-timens", "/etc/oci-timens:/host/etc/oci-timens", "/srv/config:/config"}
	n.m.Run("mkdir", "-p", rootfs+"/host/opt/oci-timens", rootfs+"/host/etc/oci-timens")
	out, err := n.contained(t, mounts, nil, "/timens-install", "install", "--config=/config/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	has(t, out, "installed /opt/oci-timens/versions/test-")
	has(t, n.m.Run("/opt/oci-timens/current/timens-hook", "--version"), "timens-hook test")
	if files, err := os.ReadDir(n.m.Path("/etc/oci-timens")); err != nil || len(files) > 0 {
		t.Errorf("a configuration without settings gave %v, %v", files, err)
	}
	out, err = n.contained(t, mounts, nil, "/timens-install", "install", "--engine=containerd")
	if err == nil {
		t.Error("chroot succeeded without the capability")
	}
	has(t, out, `timens-install: chroot to --host "/host", for which CAP_SYS_CHROOT is needed: operation not permitted`)
	has(t, n.must(t, uninstallArgs...), "removed /opt/oci-timens")
	if _, err := os.Stat(n.m.Path("/opt/oci-timens")); err == nil {
		t.Error("the folder was left")
	}
}
