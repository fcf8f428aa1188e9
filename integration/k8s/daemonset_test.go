package k8s

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

const (
	manifestsAt = "/root/kubernetes" // deploy/kubernetes, in the machine
	ownImage    = "docker.io/library/oci-timens:latest"
	ownSpace    = "oci-timens"
)

// TestDaemonSet runs the plugin as deploy/kubernetes does, on a node that has nothing of
// ours before, and whose containerd requires the plugin of all pods.
func TestDaemonSet(t *testing.T) {
	t.Parallel()
	c := newCluster(t, stack{newest, byPod})
	c.bare(t)
	before := c.traces(t)
	t.Run("all", func(t *testing.T) {
		early := c.newPod(bothAsked)
		c.create(t, early)
		c.refuses(t, early, notPresent)
		quiet := c.newPod(nil)
		c.create(t, quiet)
		c.refuses(t, quiet, notPresent)

		c.applyDaemonSet(t, "nri")
		for p, want := range map[*pod]machine.Clocks{early: both, quiet: {}} {
			c.await(t, p, "condition=Ready")
			agree(t, "one that had waited", c.logged(t, p, "a"), want)
		}
		t.Run("pods", func(t *testing.T) {
			for name, test := range map[string]func(*testing.T){
				"one": c.testOne, "several": c.testSeveral, "init": c.testInit, "refused": c.testRefused,
				"untouched": c.testUntouched, "users": c.testUsers, "crash": c.testCrash,
			} {
				t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
			}
		})
		c.restart(t, func(*pod) {
			c.kubectl(t, "--namespace", ownSpace, "delete", "pod", "plugin", "--wait")
			c.applyDaemonSet(t, "nri")
		})
		c.kubectl(t, "--namespace", ownSpace, "delete", "pod", "plugin", "--wait")
	})
	t.Run("nothing left behind", func(t *testing.T) { c.testTraces(t, before) })
}

// TestDaemonSetByClass is the same with the overlay for the RuntimeClass, and with the one
// that takes all away again.
func TestDaemonSetByClass(t *testing.T) {
	t.Parallel()
	c := newCluster(t, stack{newest, byClassPod})
	c.bare(t)
	c.kubectl(t, "delete", "runtimeclass", "timens")
	places := []string{"/etc/containerd", "/etc/oci-timens", "/opt/oci-timens"}
	before := c.m.Snapshot(places...)
	t.Run("all", func(t *testing.T) { c.byClassPods(t, places, before) })
}

func (c *cluster) byClassPods(t *testing.T, places []string, before machine.Files) {
	restart := func() { c.containerd.Stop(); c.startContainerd(t) }
	c.applyDaemonSet(t, "runtimeclass")
	p := c.newPod(bothAsked)
	c.create(t, p)
	eventually(t, "the handler is missing until containerd is started again", func() bool {
		return strings.Contains(c.kubectl(t, "describe", "pod", p.Metadata.Name), `no runtime for "timens" is configured`)
	})
	restart()
	c.await(t, p, "condition=Ready")
	agree(t, "one that had waited", c.logged(t, p, "a"), both)
	t.Run("pods", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"one": c.testOne, "several": c.testSeveral, "init": c.testInit, "refused": c.testRefused,
			"untouched": c.testUntouched, "crash": c.testCrash,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
		}
	})
	c.kubectl(t, "delete", "pods", "--all", "--wait", "--timeout=1m")
	c.m.Run("rm", "-rf", "/etc/oci-timens") // a policy of a test; the overlay has none

	c.kubectl(t, "--namespace", ownSpace, "delete", "pod", "plugin", "--wait")
	c.applyDaemonSet(t, "uninstall")
	c.kubectl(t, "delete", "--kustomize", manifestsAt+"/overlays/uninstall", "--wait=false")
	c.kubectl(t, "--namespace", ownSpace, "delete", "pod", "plugin", "--wait", "--ignore-not-found")
	restart()
	c.m.Snapshot(places...).Same(t, before)
	late := c.newPod(nil)
	late.Spec.RuntimeClassName = ""
	agree(t, "one without the class", c.logged(t, c.run(t, late), "a"), machine.Clocks{})
}

// bare has the node have our image, and nothing else of ours.
func (c *cluster) bare(t *testing.T) {
	t.Helper()
	b := machine.Programs(t)
	c.m.Copy(machine.ImageOf(t, ownImage, b.Hook, b.Shim, b.Ctl, machine.Program(t, "timens-nri"), machine.Program(t, "timens-install")), "/root/own.tar", 0o644)
	c.load(t, ownImage, "/root/own.tar")
	c.m.Run("sh", "-c", "rm -rf /usr/bin/timens* /usr/local/bin/timens* /usr/libexec/oci /etc/oci-timens")
}

// applyDaemonSet does what is documented, and then what the controller of DaemonSets would
// do: it creates the node's pod, and waits for it.
func (c *cluster) applyDaemonSet(t *testing.T, overlay string) {
	t.Helper()
	from := filepath.Join("..", "..", "deploy", "kubernetes")
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			c.m.Copy(path, filepath.Join(manifestsAt, strings.TrimPrefix(path, from)), 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "apply", "--kustomize", manifestsAt+"/overlays/"+overlay)
	var set struct {
		Spec struct {
			Template map[string]any `json:"template"`
		} `json:"spec"`
	}
	text := c.kubectl(t, "--namespace", ownSpace, "get", "daemonset", "oci-timens", "--output=json")
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		t.Fatal(err)
	}
	p := set.Spec.Template
	p["apiVersion"], p["kind"] = "v1", "Pod"
	p["metadata"].(map[string]any)["name"] = "plugin"
	p["spec"].(map[string]any)["nodeName"] = nodeName
	made, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	c.m.Write("/root/plugin.json", string(made), 0o600)
	c.kubectl(t, "--namespace", ownSpace, "create", "-f", "/root/plugin.json")
	if _, err := c.m.Try("kubectl", "--namespace", ownSpace, "wait", "--for=condition=Ready", "pod/plugin", "--timeout=1m"); err != nil {
		o, _ := c.m.Try("sh", "-c", "kubectl -n oci-timens describe pod plugin; kubectl -n oci-timens logs plugin --all-containers")
		t.Fatalf("%v\n%s", err, o.Stdout)
	}
}
