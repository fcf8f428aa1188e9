package k8s

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// twins are two clusters of one node each, that share the machine evenly.
type twins [2]*cluster

func newTwins(t *testing.T) twins {
	t.Helper()
	var nodes twins
	for i := range nodes {
		c := newCluster(t, stack{newest, byNone})
		c.allowRealTime()
		c.halve()
		nodes[i] = c
	}
	return nodes
}

// halve lets the node have as much time as half of the processors, on any of them, so that
// one does not get faster when the other is ready.
func (c *cluster) halve() {
	const period = 20_000 // µs: short beside what is measured
	quota := period * runtime.NumCPU() / 2
	if _, err := os.Stat(c.m.Path("/sys/fs/cgroup/cpu")); err != nil {
		c.m.Run("sh", "-c", fmt.Sprintf("echo %d %d >/sys/fs/cgroup/cpu.max", quota, period))
		return
	}
	c.m.Run("sh", "-c", fmt.Sprintf("cd /sys/fs/cgroup/cpu; echo %d >cpu.cfs_period_us; echo %d >cpu.cfs_quota_us", period, quota))
}

// batch is what came of pods that were created at once.
type batch struct {
	wall, cpu time.Duration
	handled   histogram // by timens-nri, where it ran
}

// compare creates pods at once on both nodes: as they are without us on the first, and in
// some way on the second. In the end there is none of them.
func (nodes twins) compare(t *testing.T, base, w *way, many int) (with, without batch) {
	t.Helper()
	if w.plugin {
		nodes[1].startPlugin(t)
		defer func() { nodes[1].plugin.Stop() }()
	}
	var took [2]batch
	both := func(do func(i int)) {
		var all sync.WaitGroup
		for i := range nodes {
			all.Go(func() { do(i) })
		}
		all.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	both(func(i int) { took[i].wall, took[i].cpu = nodes[i].fill(t, []*way{base, w}[i], many) })
	if w.plugin {
		took[1].handled = nodes[1].served(t)
	}
	both(func(i int) { nodes[i].clear(t) })
	return took[1], took[0]
}

// took notes a batch, and the one beside it.
func (w *way) took(b, beside batch) {
	w.wall, w.cpu = append(w.wall, b.wall), append(w.cpu, b.cpu)
	w.wallRatio = append(w.wallRatio, float64(b.wall)/float64(beside.wall))
	w.cpuRatio = append(w.cpuRatio, float64(b.cpu)/float64(beside.cpu))
}
