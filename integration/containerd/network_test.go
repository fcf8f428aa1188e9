package containerd

import (
	"os"
	"testing"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

// plugins is where Debian's package containernetworking-plugins puts them.
const plugins = "/usr/lib/cni"

// TestNetwork has a pod with a network of its own, as most pods have.
func TestNetwork(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(plugins + "/bridge"); err != nil {
		testenv.Lacks(t, "cni", err)
	}
	e := newEngine(t, stacks[0])
	e.m.Write("/etc/cni/net.d/10-test.conflist", `{"cniVersion": "1.0.0", "name": "test", "plugins": [
  {"type": "bridge", "bridge": "test0", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]]}}
]}`, 0o644)
	e.m.Write(mainConfig, config3+"[plugins.'io.containerd.cri.v1.runtime'.cni]\n  bin_dirs = ['"+plugins+"']\n", 0o644)
	e.m.Run("timensctl", "configure", "containerd")
	e.start()
	p := newPod(t, "timens", map[string]string{"io.timens.boottime": "=0"})
	p.OwnNetwork = true
	e.runPod(t, p)
	want := e.sandbox(t, p)
	a := &cri.Container{Name: "a"}
	r := e.container(t, p, a)
	young(t, r)
	agree(t, "init", machine.Ahead(t, r), want)
	agree(t, "exec", e.exec(t, a), want)
	agree(t, "the second", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "b"})), want)
}
