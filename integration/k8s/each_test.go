package k8s

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/stats"
)

// TestEach takes what a single pod costs, asked of containerd as a kubelet does, one after
// another on a node where nothing else happens. Neighbouring pods of all ways are compared.
func TestEach(t *testing.T) {
	if *rounds == 0 {
		t.Skip("only with -rounds")
	}
	c := newCluster(t, stack{newest, byNone})
	c.kubelet.Stop() // it would end pods that it does not know
	engine, err := cri.Dial(c.m.Path("/run/containerd/containerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	ways := everyWay()
	base := ways[0]
	ways = chosen(ways)
	c.allowRealTime()
	c.m.Run("mkdir", "-p", "/run/pods")
	const turns, eachTurn = 3, 4 // of a way in a round: what is compared is to be seconds apart
	for turn := range turns**rounds + 1 {
		for _, i := range rand.Perm(len(ways)) {
			w := ways[i]
			if w.plugin {
				c.startPlugin(t)
			}
			for k := range eachTurn {
				wall, cpu := c.one(t, engine, w, fmt.Sprintf("pod-%d-%d-%d", turn, i, k))
				if turn > 0 { // the first is for what is only found out once
					w.wall, w.cpu = append(w.wall, wall), append(w.cpu, cpu)
				}
			}
			if w.plugin {
				c.plugin.Stop()
			}
		}
	}
	fmt.Printf("\nOne pod with one container after another, by CRI, with containerd %s and runc 1.5.2; medians of %d.\n\n"+
		"| pod | runs after | ratio | 95 %% sure | processor time | ratio | 95 %% sure |\n|---|---|---|---|---|---|---|\n", newest, len(base.wall))
	for _, w := range ways {
		wall, cpu := ratios(w.wall, base.wall), ratios(w.cpu, base.cpu)
		fmt.Printf("| %s | %.1f ms | %.3f | %s | %.1f ms | %.3f | %s |\n", w.name, stats.Median(w.wall).Seconds()*1e3, stats.Median(wall), sure(wall),
			stats.Median(w.cpu).Seconds()*1e3, stats.Median(cpu), sure(cpu))
	}
}

// one starts a pod, tells what that took, and removes the pod.
func (c *cluster) one(t *testing.T, engine *cri.Client, w *way, name string) (wall, cpu time.Duration) {
	t.Helper()
	p := &cri.Pod{
		Name: name, Namespace: "default", UID: name, Handler: w.class, Annotations: w.asks, OwnNetwork: true,
		CgroupParent: "/kubepods/" + name, LogDir: "/run/pods",
	}
	o := &cri.Container{Name: "a", Image: image, Annotations: w.asks}
	began, used := time.Now(), c.processor(t)
	err := engine.RunPodSandbox(t.Context(), p)
	if err == nil {
		err = engine.CreateContainer(t.Context(), p, o)
	}
	if err == nil {
		err = engine.StartContainer(t.Context(), o)
	}
	wall = time.Since(began)
	time.Sleep(20 * time.Millisecond) // what a start leaves to be done costs, too
	cpu = c.processor(t) - used
	if err == nil {
		err = engine.StopPodSandbox(t.Context(), p)
	}
	if err == nil {
		err = engine.RemovePodSandbox(t.Context(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // and so does an end
	return wall, cpu
}
