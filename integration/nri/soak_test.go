package nri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"

	"oci-timens/integration/machine"
)

const (
	manyPods = 2000
	warmUp   = 200 // pods, after which nothing may grow
	maxRSS   = 32 << 20
)

// TestManyPods has the engine's side of NRI itself, without an engine, tell the plugin of
// pods that come and go: each with two containers, and many annotations.
func TestManyPods(t *testing.T) {
	m := machine.New(t, "/")
	m.Copy(machine.Program(t, "timens-nri"), "/usr/local/bin/timens-nri", 0o755)
	m.Copy("/bin/busybox", "/usr/local/bin/busybox", 0o755)
	m.Run("mkdir", "-p", "/run/nri")
	engine, err := adaptation.New("soak", "1", func(ctx context.Context, with adaptation.SyncCB) error {
		_, err := with(ctx, nil, nil)
		return err
	}, func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil },
		adaptation.WithSocketPath(m.Path("/run/nri/nri.sock")), adaptation.WithPluginPath(t.TempDir()), adaptation.WithPluginConfigPath(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	defer engine.Stop()
	p := m.Start("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs", "timens-nri", "--socket", "/run/nri/nri.sock", "--log-level", "warning")
	p.Await(func() error {
		r, err := engine.CreateContainer(t.Context(), &api.CreateContainerRequest{
			Pod:       &api.PodSandbox{Id: "first", Annotations: map[string]string{"io.timens.monotonic": "+1h"}},
			Container: &api.Container{Id: "first", PodSandboxId: "first", Name: "a", Linux: &api.LinuxContainer{}},
		})
		if err == nil && len(r.GetAdjust().GetHooks().GetCreateRuntime()) == 0 {
			err = errors.New("not asked yet")
		}
		return err
	})
	var all, part []time.Duration
	var before resources
	for i := range manyPods {
		part = append(part, lifeOfPod(t, engine, i)...)
		if (i+1)%warmUp > 0 {
			continue
		}
		if i < warmUp {
			before = measure(t, m)
		} else {
			all = append(all, part...)
		}
		part = nil
	}
	after := measure(t, m)
	t.Logf("%d requests: median %v, p99 %v, seen by the engine; %+v after %d pods, %+v after %d", len(all),
		percentile(all, 50), percentile(all, 99), before, warmUp, after, manyPods)
	// By the plugin's own clock: how soon the engine is let run again is not its doing.
	text := m.Run("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:9464/metrics")
	requests, inTime := metric(t, text, "timens_nri_request_seconds_count"), metric(t, text, `timens_nri_request_seconds_bucket{le="0.002"}`)
	t.Logf("handled within 2 ms: %d of %d, within 0.5 ms: %d", inTime, requests, metric(t, text, `timens_nri_request_seconds_bucket{le="0.0005"}`))
	if inTime < requests*99/100 {
		t.Errorf("%d of %d requests were handled within 2 ms", inTime, requests)
	}
	if after.rss > maxRSS || after.rss > before.rss+before.rss/4 {
		t.Errorf("%d bytes of memory are used, %d before", after.rss, before.rss)
	}
	const few = 10 // that come and go, as for a request of /metrics
	if after.goroutines > before.goroutines+few || after.files > before.files+few {
		t.Errorf("there are %+v, and were %+v", after, before)
	}
	if names, err := os.ReadDir(m.Path(kept)); err != nil || len(names) > 0 {
		t.Errorf("records are left: %d, %v", len(names), err)
	}
	p.Stop()
}

func percentile(took []time.Duration, n int) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*n/100]
}

// lifeOfPod tells of one pod, and returns how long it took to hear what its containers get.
func lifeOfPod(t *testing.T, engine *adaptation.Adaptation, i int) (took []time.Duration) {
	t.Helper()
	id := fmt.Sprintf("%064x", i)
	pod := &api.PodSandbox{Id: id, Name: fmt.Sprint("pod-", i), Namespace: "tests", Uid: id[:32], Annotations: map[string]string{
		"io.timens.boottime": "=0", "io.timens.monotonic": "+36h",
	}}
	for n := range 20 {
		pod.Annotations[fmt.Sprint("example.com/", n)] = strings.Repeat("x", 100)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(engine.RunPodSandbox(t.Context(), &api.RunPodSandboxRequest{Pod: pod}))
	var first []string
	for _, name := range []string{"a", "b"} {
		c := &api.Container{Id: id[:60] + name, PodSandboxId: id, Name: name, Linux: &api.LinuxContainer{}}
		start := time.Now()
		r, err := engine.CreateContainer(t.Context(), &api.CreateContainerRequest{Pod: pod, Container: c})
		took = append(took, time.Since(start))
		check(err)
		hooks := r.GetAdjust().GetHooks().GetCreateRuntime()
		if len(hooks) != 1 || first != nil && !slices.Equal(hooks[0].GetArgs(), first) {
			t.Fatalf("hooks are %v, the first container has %q", hooks, first)
		}
		first = hooks[0].GetArgs()
		c.Hooks = r.GetAdjust().GetHooks()
		check(engine.StartContainer(t.Context(), &api.StartContainerRequest{Pod: pod, Container: c}))
	}
	check(engine.StopPodSandbox(t.Context(), &api.StopPodSandboxRequest{Pod: pod}))
	check(engine.RemovePodSandbox(t.Context(), &api.RemovePodSandboxRequest{Pod: pod}))
	return took
}

// metric finds a number in what the plugin tells Prometheus.
func metric(t *testing.T, text, name string) int {
	t.Helper()
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				t.Error(err)
			}
			return v
		}
	}
	t.Fatalf("no %s in %s", name, text)
	return 0
}

// resources are what the plugin uses.
type resources struct{ rss, files, goroutines int }

func measure(t *testing.T, m *machine.Machine) (r resources) {
	t.Helper()
	r.goroutines = metric(t, m.Run("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:9464/metrics"), "go_goroutines")
	dirs, err := filepath.Glob(m.Path("/proc/[0-9]*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if name, err := os.ReadFile(dir + "/comm"); err != nil || string(name) != "timens-nri\n" {
			continue
		}
		status, err := os.ReadFile(dir + "/status")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); f[0] == "VmRSS:" {
				kib, _ := strconv.Atoi(f[1])
				r.rss = kib << 10
			}
		}
		files, err := os.ReadDir(dir + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		r.files = len(files)
	}
	if r.rss == 0 || r.files == 0 || r.goroutines == 0 {
		t.Fatalf("not measured: %+v", r)
	}
	return r
}
