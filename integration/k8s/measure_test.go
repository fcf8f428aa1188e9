package k8s

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/stats"
)

// way is a kind of pods.
type way struct {
	name   string
	class  string // the RuntimeClass that they name, or the handler
	plugin bool   // timens-nri runs
	asks   asked  // their annotations

	wall, cpu           []time.Duration // in the order of those that they are compared with
	wallRatio, cpuRatio []float64       // to those that were beside them
}

const goal = 1.03 // of the time that it takes without anything of ours

// TestMeasure takes the time until all of many pods run that are created at once, on two
// nodes side by side that have half of the machine each: on one of them without anything of
// ours, and on the other at the same moment in each of the ways. How fast a machine is may
// change by a third within minutes, and does so for both.
func TestMeasure(t *testing.T) {
	if *rounds == 0 {
		t.Skip("only with -rounds")
	}
	ways := everyWay()
	base := ways[0]
	if ways = chosen(ways)[1:]; len(ways) == 0 {
		t.Fatalf("-only %q: no way has this in its name", *only)
	}
	nodes := newTwins(t)
	for _, w := range ways {
		for range nodes { // for what is only found out once
			nodes.compare(t, base, w, 10)
			slices.Reverse(nodes[:])
		}
	}
	handled := histogram{}
	for range *rounds {
		for _, i := range rand.Perm(len(ways)) {
			for range nodes { // each way on each node
				w, beside := nodes.compare(t, base, ways[i], *many)
				ways[i].took(w, beside)
				handled.add(w.handled)
				slices.Reverse(nodes[:])
			}
		}
	}
	fmt.Printf("\n%d pods created at once, on a node with half of the processors, beside as many without us on a node with the other half,\n"+
		"Kubernetes 1.34.4 with containerd %s and runc 1.5.2; medians of %d, where each way was as often on either node.\n\n"+
		"| pods | all Running | of those beside them | %.0f %% sure | goal | processor time | of those beside them | %.0f %% sure |\n|---|---|---|---|---|---|---|---|\n",
		*many, newest, len(ways[0].wall), stats.Certainty(len(ways[0].wall)), stats.Certainty(len(ways[0].wall)))
	for _, w := range ways {
		ratio, judged := stats.Median(w.wallRatio), ""
		if w.class == "timens" || w.plugin {
			judged = fmt.Sprintf("≤ %.2f %s", goal, mark(ratio <= goal))
		}
		fmt.Printf("| %s | %.2f s | %.3f | %s | %s | %.2f s | %.3f | %s |\n", w.name, stats.Median(w.wall).Seconds(), ratio, sure(w.wallRatio), judged,
			stats.Median(w.cpu).Seconds(), stats.Median(w.cpuRatio), sure(w.cpuRatio))
	}
	if len(handled) == 0 {
		return
	}
	p99 := handled.quantile(0.99)
	fmt.Printf("\nCreateContainer in timens-nri, of %.0f: p50 ≤ %v, p99 ≤ %v (goal ≤ 2 ms %s)\n",
		handled[len(handled)-1].count, handled.quantile(0.5), p99, mark(p99 <= 2*time.Millisecond))
}

// everyWay starts with the one that the others are compared with.
func everyWay() []*way {
	both := asked{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"}
	return []*way{
		{name: "without us"},
		{name: "without us, once more"},
		{name: "a program in Go that becomes runc", class: "becomes"},
		{name: "RuntimeClass, nothing asked", class: "timens"},
		{name: "RuntimeClass, both clocks", class: "timens", asks: both},
		{name: "NRI, nothing asked", plugin: true},
		{name: "NRI, both clocks", plugin: true, asks: both},
	}
}

// chosen are the first, with which the others are compared, and those that -only names.
func chosen(ways []*way) []*way {
	return slices.DeleteFunc(ways, func(w *way) bool { return w != ways[0] && !strings.Contains(w.name, *only) })
}

// allowRealTime gives the machine real-time priorities, as it has them on the kernels of
// distributions, that do not share them out among cgroups (RT_GROUP_SCHED).
func (c *cluster) allowRealTime() {
	f := "/sys/fs/cgroup/cpu/cpu.rt_runtime_us"
	if _, err := os.Stat(c.m.Path(f)); err == nil {
		c.m.Run("sh", "-c", "echo 400000 >"+f) // µs of each second: there may be two machines
	}
}

// measure creates pods at once, and removes them when all run.
func (c *cluster) measure(t *testing.T, w *way, many int) (wall, cpu time.Duration) {
	t.Helper()
	wall, cpu = c.fill(t, w, many)
	c.clear(t)
	return wall, cpu
}

// fill creates pods at once, and tells how long it takes until all run, and what processor
// time the machine needs for it.
func (c *cluster) fill(t *testing.T, w *way, many int) (wall, cpu time.Duration) {
	t.Helper()
	list := struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Items      []*pod `json:"items"`
	}{APIVersion: "v1", Kind: "List"}
	for range many {
		p := c.newPod(w.asks)
		p.Spec.RuntimeClassName = w.class
		list.Items = append(list.Items, p)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	c.m.Write("/root/many.json", string(text), 0o600)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	watch := c.m.Command(ctx, "kubectl", "get", "pods", "--watch", `--output=jsonpath={.metadata.name} {.status.phase}{"\n"}`)
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	began, used := time.Now(), c.processor(t)
	c.kubectl(t, "create", "--validate=false", "-f", "/root/many.json")
	running := map[string]bool{}
	for lines := bufio.NewScanner(out); len(running) < many && lines.Scan(); {
		if name, phase, _ := strings.Cut(lines.Text(), " "); phase == "Running" {
			running[name] = true
		}
	}
	wall, cpu = time.Since(began), c.processor(t)-used
	cancel()
	watch.Wait()
	if len(running) < many {
		t.Fatalf("%s: %d of %d pods run", w.name, len(running), many)
	}
	return wall, cpu
}

// clear removes all pods, and their sandboxes, with which kubelet takes its time.
func (c *cluster) clear(t *testing.T) {
	t.Helper()
	c.kubectl(t, "delete", "pods", "--all", "--wait", "--grace-period=1", "--timeout=3m")
	engine, err := cri.Dial(c.m.Path("/run/containerd/containerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	const sandboxes = `labels."io.cri-containerd.kind"==sandbox`
	for _, id := range strings.Fields(c.m.Run("ctr", "--namespace", "k8s.io", "containers", "list", "--quiet", sandboxes)) {
		if err := engine.RemovePodSandbox(t.Context(), &cri.Pod{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
}

// processor is the processor time of all processes that were ever in the machine.
func (c *cluster) processor(t *testing.T) time.Duration {
	t.Helper()
	if text, err := os.ReadFile(c.m.Path("/sys/fs/cgroup/cpuacct/cpuacct.usage")); err == nil {
		ns, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ns)
	}
	text, err := os.ReadFile(c.m.Path("/sys/fs/cgroup/cpu.stat"))
	if err != nil {
		t.Fatal(err)
	}
	var us int64
	if _, err := fmt.Sscanf(string(text), "usage_usec %d", &us); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return time.Duration(us) * time.Microsecond
}

func ratios(a, b []time.Duration) (r []float64) {
	for i := range a {
		r = append(r, float64(a[i])/float64(b[i]))
	}
	return r
}

// sure tells where the median of all lies that were to be had.
func sure(r []float64) string {
	low, high, ok := stats.Interval(r)
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.3f … %.3f", low, high)
}

func mark(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}
