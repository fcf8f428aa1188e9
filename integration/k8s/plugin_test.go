package k8s

import (
	"testing"

	"golang.org/x/sys/unix"
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
