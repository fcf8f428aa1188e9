package k8s

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
)

const (
	plugin  = "/usr/local/bin/timens-nri"
	metrics = "http://127.0.0.1:9464"
)

// Features that only the plugin has.
const (
	restartOfPlugin = "restart of timens-nri"
	pluginAbsent    = "timens-nri absent: pods that require it do not start"
	pluginKilled    = "timens-nri killed while it is asked"
	pluginSlow      = "timens-nri too slow"
)

var ofPlugin = map[string]bool{restartOfPlugin: true, pluginAbsent: true, pluginKilled: true, pluginSlow: true}

var building sync.Mutex

// built is a program of ours that only nodes of Kubernetes have, built once for all
// tests, beside the others.
func built(t testing.TB, name string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	out := filepath.Join(machine.Programs(t).Dir, name)
	if _, err := os.Stat(out); err == nil {
		return out
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=test", "-o", out, "./cmd/"+name)
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, text)
	}
	return out
}

// startPlugin starts the plugin as a process of the node, and again after it was stopped.
func (c *cluster) startPlugin(t testing.TB) {
	t.Helper()
	c.plugin = c.m.Start(plugin)
	c.plugin.Await(func() error { _, err := c.ask("/readyz"); return err })
}

// ask reads what the plugin serves by HTTP.
func (c *cluster) ask(path string) (string, error) {
	o, err := c.m.Try("kubectl", "--kubeconfig=/dev/null", "--server="+metrics, "get", "--raw", path)
	return o.Stdout, err
}

func (c *cluster) testPlugin(t *testing.T) {
	c.restart(t, func(*pod) {
		c.plugin.Stop()
		c.startPlugin(t)
	})
	c.restart(t, func(*pod) {
		c.plugin.Signal(unix.SIGKILL)
		c.startPlugin(t)
	})
}
