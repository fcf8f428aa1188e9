package k8s

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

// stack is what a node is made of, and by which way pods get their clocks.
type stack struct {
	containerd string
	way        string
}

const (
	byClass    = "RuntimeClass"
	byNRI      = "NRI"
	byPod      = "NRI, a pod"
	byClassPod = "RuntimeClass, by a pod"
	byNone     = "neither" // until a pod names the class, or the plugin is started

	newest  = "2.4.2"
	debians = "1.7.24" // Debian 13's own
)

func (s stack) String() string { return s.way + " with containerd " + s.containerd }

// cluster is a control plane and one node, all in one machine.
type cluster struct {
	m     *machine.Machine
	stack stack

	containerd, kubelet, plugin *machine.Daemon
}

// newCluster starts a cluster. It is gone when the test ends.
func newCluster(t testing.TB, s stack) *cluster {
	t.Helper()
	tree := "/"
	if s.containerd == debians {
		tree = machine.Tool(t, "debian13-1")
	}
	for _, path := range []string{"/usr/bin/etcd", "/usr/lib/cni/bridge"} {
		if _, err := os.Stat(path); err != nil {
			lacks(t, "kubernetes", err)
		}
	}
	c := &cluster{m: machine.New(t, tree), stack: s}
	c.install(t)
	c.configure(t)
	etcd := c.m.Start("etcd", "--data-dir=/var/lib/etcd", "--log-level=error", "--logger=zap")
	server := c.m.Start("kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=127.0.0.1", "--advertise-address="+nodeIP, "--cert-dir=/var/lib/kube-apiserver",
		"--authorization-mode=AlwaysAllow", "--token-auth-file=/etc/kubernetes/tokens", "--allow-privileged",
		"--disable-admission-plugins=ServiceAccount", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=/etc/kubernetes/account.pem", "--service-account-signing-key-file=/etc/kubernetes/account.pem",
		"--service-cluster-ip-range=10.78.0.0/24", "--kubelet-preferred-address-types=InternalIP")
	c.startContainerd(t)
	etcd.Await(func() error { return nil })
	server.Await(func() error { _, err := c.m.Try("kubectl", "get", "--raw", "/readyz"); return err })
	if s.way == byNRI {
		c.startPlugin(t)
	}
	c.startKubelet(t)
	c.addClass("timens")
	if s.way == byNone {
		c.addClass("becomes")
	}
	c.m.Run("kubectl", "wait", "--for=create", "node/"+nodeName, "--timeout=1m")
	c.m.Run("kubectl", "wait", "--for=condition=Ready", "node/"+nodeName, "--timeout=1m")
	return c
}

// addClass adds a RuntimeClass with a handler of the same name.
func (c *cluster) addClass(name string) {
	file := "/etc/kubernetes/" + name + ".yaml"
	c.m.Write(file, "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: "+name+"}, handler: "+name+"}\n", 0o644)
	c.m.Run("kubectl", "create", "-f", file)
}

// install puts all programs into the machine.
func (c *cluster) install(t testing.TB) {
	t.Helper()
	for _, p := range []string{"kubelet", "kube-apiserver", "kubectl"} {
		c.m.Copy(machine.Tool(t, "kubernetes-1.34.4/"+p), "/usr/local/bin/"+p, 0o755)
	}
	if c.stack.containerd == debians {
		c.m.Copy("/usr/bin/etcd", "/usr/local/bin/etcd", 0o755)
		for _, p := range []string{"bridge", "host-local", "loopback"} {
			c.m.Copy("/usr/lib/cni/"+p, "/usr/lib/cni/"+p, 0o755)
		}
	} else {
		for _, p := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
			c.m.Copy(machine.Tool(t, "containerd-"+c.stack.containerd+"/"+p), "/usr/local/bin/"+p, 0o755)
		}
	}
	c.m.Copy(machine.Tool(t, "runc-1.5.2"), runc, 0o755)
	c.m.Copy(machine.Image(t, image), "/root/image.tar", 0o644)
	c.m.Install()
	if c.stack.way != byClass {
		c.m.Copy(machine.Program(t, "timens-nri"), plugin, 0o755)
	}
	if c.stack.way == byNone {
		c.m.Copy(machine.Program(t, "noopwrap"), becomes, 0o755)
	}
}

func (c *cluster) configure(t testing.TB) {
	t.Helper()
	c.m.Run("rm", "-rf", "/etc/containerd", "/etc/cni", "/var/lib/kubelet", "/var/lib/etcd")
	c.m.Run("mkdir", "-p", manifests)
	for path, text := range map[string]string{
		"/etc/cni/net.d/10-pods.conflist": network,
		"/root/.kube/config":              kubeconfig,
		"/etc/kubernetes/tokens":          tokens,
		"/etc/kubernetes/kubelet.yaml":    kubeletConfig,
		"/etc/kubernetes/account.pem":     accountKey(t),
		containerdAt:                      c.containerdConfig(),
	} {
		c.m.Write(path, text, 0o600)
	}
	// Files that are mounted into a user namespace cannot be on an overlay.
	c.m.Run("mkdir", "-p", "/var/lib/kubelet")
	c.m.Run("mount", "-t", "tmpfs", "kubelet", "/var/lib/kubelet")
	c.m.Run("ip", "address", "add", nodeIP+"/32", "dev", "lo")
	if c.stack.way == byClass || c.stack.way == byNone {
		c.m.Run("timensctl", "configure", "containerd")
	}
}

func (c *cluster) containerdConfig() string {
	switch c.stack {
	case stack{debians, byNRI}:
		return containerd2 + nri2
	case stack{newest, byNRI}:
		return containerd3 + nri3
	case stack{debians, byClass}:
		return containerd2
	case stack{newest, byPod}:
		return containerd3 + required
	case stack{newest, byNone}:
		return containerd3 + becoming
	}
	return containerd3
}

// startContainerd starts it, and again after it was stopped.
func (c *cluster) startContainerd(t testing.TB) {
	t.Helper()
	first := c.containerd == nil
	c.containerd = c.m.Start("WRAPPED="+runc, "containerd", "--log-level=info")
	c.containerd.Await(func() error { _, err := c.m.Try("ctr", "version"); return err })
	if first {
		c.load(t, image, "/root/image.tar")
	}
}

// load gives the node an image from a file.
func (c *cluster) load(t testing.TB, image, file string) {
	t.Helper()
	c.m.Run("ctr", "--namespace", "k8s.io", "image", "import", file)
	engine, err := cri.Dial(c.m.Path("/run/containerd/containerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	c.containerd.Await(func() error { return engine.HasImage(t.Context(), image) })
}

// startKubelet starts it in a mount namespace of its own, whose mounts reach the others.
func (c *cluster) startKubelet(t testing.TB) {
	t.Helper()
	c.kubelet = c.m.Start("unshare", "--mount", "--propagation", "unchanged", "sh", "-c", kubeletScript)
	c.kubelet.Await(func() error {
		_, err := c.m.Try("sh", "-c", "</dev/null kubectl get --raw /api/v1/nodes/"+nodeName)
		return err
	})
}

// kubectl runs a command that has to succeed, and returns what it wrote.
func (c *cluster) kubectl(t testing.TB, args ...string) string {
	t.Helper()
	o, err := c.m.Try(append([]string{"kubectl"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(o.Stdout)
}

// enter is a command's beginning for somebody who sits at the machine below.
func (c *cluster) enter() string {
	return fmt.Sprintf("nsenter --target %d --mount --uts --ipc --net --pid --cgroup --root --wd --", c.m.PID())
}
