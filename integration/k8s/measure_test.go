package k8s

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/cri"
)

// way is a kind of pods.
type way struct {
	name   string
	class  string // the RuntimeClass that they name, or the handler
	plugin bool   // timens-nri runs
	asks   asked  // their annotations

	wall, cpu []time.Duration // in the order of those that they are compared with
}

const goal = 1.03 // of the time that it takes without anything of ours

// TestMeasure takes the time until all of many pods run that are created at once. All
// ways take turns on one node, in a new order each round, and ratios are those of one
// round.
func TestMeasure(t *testing.T) {
	if *rounds == 0 {
		t.Skip("only with -rounds")
	}
	c := newCluster(t, stack{newest, byNone})
	ways := everyWay()
	base := ways[0]
	ways = chosen(ways)
	c.allowRealTime()
	c.measure(t, &way{name: "warm-up"}, 10)
	handled := histogram{}
	for range *rounds {
		for _, i := range rand.Perm(len(ways)) {
			w := ways[i]
			if w.plugin {
				c.startPlugin(t)
			}
			wall, cpu := c.measure(t, w, *many)
			w.wall, w.cpu = append(w.wall, wall), append(w.cpu, cpu)
			if w.plugin {
				handled.add(c.served(t))
				c.plugin.Stop()
			}
		}
	}
	fmt.Printf("\n%d pods created at once on one node, Kubernetes 1.34.4 with containerd %s and runc 1.5.2; medians of %d interleaved rounds.\n\n"+
		"| pods | all Running | ratio | 95 %% sure | goal | processor time of the node | ratio | 95 %% sure |\n|---|---|---|---|---|---|---|---|\n", *many, newest, *rounds)
	for _, w := range ways {
		ratio := median(ratios(w.wall, base.wall))
		judged := ""
		if w.class != "" || w.plugin {
			judged = fmt.Sprintf("≤ %.2f %s", goal, mark(ratio <= goal))
		}
		fmt.Printf("| %s | %.2f s | %.3f | %s | %s | %.2f s | %.3f | %s |\n", w.name, median(w.wall).Seconds(), ratio, sure(ratios(w.wall, base.wall)), judged,
			median(w.cpu).Seconds(), median(ratios(w.cpu, base.cpu)), sure(ratios(w.cpu, base.cpu)))
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
		c.m.Run("sh", "-c", "echo 500000 >"+f)
	}
}

// measure creates pods at once, and tells how long it takes until all run, and what
// processor time the machine needs for it. In the end there is none of them.
func (c *cluster) measure(t *testing.T, w *way, many int) (wall, cpu time.Duration) {
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
	c.clear(t)
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

func median[T ~int64 | ~float64](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func ratios(a, b []time.Duration) (r []float64) {
	for i := range a {
		r = append(r, float64(a[i])/float64(b[i]))
	}
	return r
}

// sure is where the median of all lies that were to be had, with a certainty of 95 %: between
// two of those at hand, by their ranks. With fewer than six there are no such two.
func sure(r []float64) string {
	sorted, skip := slices.Sorted(slices.Values(r)), -1
	// So many of n are below the median with a chance of 1/2 each.
	for chance, below := math.Pow(0.5, float64(len(r))), 0.; below+chance <= 0.025; {
		below += chance
		skip++
		chance *= float64(len(r)-skip) / float64(skip+1)
	}
	if skip < 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f … %.3f", sorted[skip], sorted[len(r)-1-skip])
}

func mark(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}
