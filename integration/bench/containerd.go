package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

const (
	containerdVersion  = "2.4.2"
	containerdImage    = "localhost/probe:latest"
	containerdSettings = `version = 3
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/probe:latest'
`
)

// containerdHost is a machine with a containerd that runs.
type containerdHost struct {
	*cri.Client
	machine *machine.Machine
	made    int
}

// containerd measures what a container pays for a containerd that is set up: in a pod
// of the default handler, which nothing of ours has to do with, and in pods of ours.
// What is timed is what a kubelet waits for in a sandbox that is there: CreateContainer
// and StartContainer.
func (b *bench) containerd() error {
	return inSetting(func(s *setting) error {
		s.Cleanup(func() { _ = os.RemoveAll(machine.Programs(s).Dir) })
		archive := machine.Image(s, containerdImage)
		// One for each way without annotations of ours: a daemon that starts more containers
		// than another is the slower one.
		var hosts []*containerdHost
		for _, configured := range []bool{false, false, true, true} {
			h, err := b.containerdHost(s, archive, configured)
			if err != nil {
				return err
			}
			hosts = append(hosts, h)
		}
		const plain = "default handler, not configured"
		both := map[string]string{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"}
		starts := []struct {
			way
			host *containerdHost
			pod  cri.Pod
		}{
			{way{name: plain}, hosts[0], cri.Pod{}},
			{way{name: "the same, another machine", baseline: plain}, hosts[1], cri.Pod{}},
			{way{name: "default handler, configured", baseline: plain, goal: engineGoal}, hosts[2], cri.Pod{}},
			{way{name: "handler timens, nothing asked", baseline: "default handler, configured", goal: engineGoal}, hosts[3], cri.Pod{Handler: "timens"}},
			{way{name: "handler timens, both clocks", baseline: "default handler, configured"}, hosts[3], cri.Pod{Handler: "timens", Annotations: both}},
		}
		var ways []*way
		for i := range starts {
			v := &starts[i]
			v.pod.Name, v.pod.Namespace, v.pod.UID = fmt.Sprint("pod", i), "bench", fmt.Sprint("uid", i)
			if err := v.host.RunPodSandbox(context.Background(), &v.pod); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			ways = append(ways, &v.way)
		}
		err := b.interleaved(ways, func(i int) (time.Duration, error) { return starts[i].host.start(&starts[i].pod) })
		if err != nil {
			return err
		}
		b.table("containerd "+containerdVersion+" with runc 1.5.2, CreateContainer and StartContainer", ways)
		return b.containerdShim(s, hosts[2], &starts[2].pod)
	})
}

// containerdShim times the shim by itself: the two commands by which containerd starts
// a container without annotations, with a low-level runtime that does nothing.
func (b *bench) containerdShim(s *setting, h *containerdHost, p *cri.Pod) error {
	config, err := h.config(p)
	if err != nil {
		return err
	}
	m := machine.New(s, "/")
	m.Install()
	for _, name := range []string{"measure", "noop"} {
		path := filepath.Join(s.TempDir(), name)
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
		m.Copy(path, "/opt/"+name, 0o755)
	}
	m.Run("ln", "-s", "/opt/noop", "/usr/local/sbin/runc") // where it is looked for first
	m.Write("/bundle/config.json", config, 0o644)
	general := []string{"--root", "/run/x", "--log", "/run/log", "--log-format", "json"}
	create := slices.Concat(general, []string{"create", "--bundle", "/bundle", "--pid-file", "/run/pid", "x"})
	start := slices.Concat(general, []string{"start", "x"})
	const plain = "a runtime that does nothing"
	ways := []*way{{name: plain}, {name: "timens-runc in front of it", baseline: plain, goal: engineGoal},
		{name: "the same, with a configuration file", baseline: plain, goal: engineGoal}}
	err = b.interleaved(ways, func(i int) (time.Duration, error) {
		program := []string{"/opt/noop", "/usr/bin/timens-runc", "/usr/bin/timens-runc"}[i]
		if i == 2 {
			m.Write("/etc/oci-timens/config.toml", "runtimes = [\"runc\"]\n", 0o644)
			defer m.Run("rm", "-r", "/etc/oci-timens")
		}
		first, err := timed(m, append([]string{program}, create...)...)
		if err != nil {
			return 0, err
		}
		second, err := timed(m, append([]string{program}, start...)...)
		return first + second, err
	})
	if err != nil {
		return err
	}
	b.table("the shim's part in handler timens, nothing asked: create and start", ways)
	return nil
}

// config is the config.json that containerd writes for a container of the pod.
func (h *containerdHost) config(p *cri.Pod) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), machine.Limit)
	defer cancel()
	o := &cri.Container{Name: "config", Image: containerdImage}
	if err := h.CreateContainer(ctx, p, o); err != nil {
		return "", err
	}
	if err := h.StartContainer(ctx, o); err != nil {
		return "", err
	}
	text, err := os.ReadFile(h.machine.Path("/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + o.ID + "/config.json"))
	return string(text), errors.Join(err, h.RemoveContainer(ctx, o))
}

func (b *bench) containerdHost(s *setting, archive string, configured bool) (*containerdHost, error) {
	m := machine.New(s, "/")
	m.Install()
	for _, p := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		m.Copy(machine.Tool(s, "containerd-"+containerdVersion+"/"+p), "/usr/local/bin/"+p, 0o755)
	}
	m.Copy(b.runc, "/usr/local/sbin/runc", 0o755)
	m.Copy(archive, "/image.tar", 0o644)
	m.Write("/etc/containerd/config.toml", containerdSettings, 0o644)
	if configured {
		m.Run("timensctl", "configure", "containerd")
	}
	client, err := cri.Dial(m.Path("/run/containerd/containerd.sock"))
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { _ = client.Close() }) // nothing is under way
	daemon := m.Start("containerd")
	daemon.Await(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _, err := client.Version(ctx)
		return err
	})
	m.Run("ctr", "--namespace", "k8s.io", "image", "import", "/image.tar")
	daemon.Await(func() error { return client.HasImage(context.Background(), containerdImage) })
	return &containerdHost{Client: client, machine: m}, nil
}

// start starts one container of a pod, which stays, and removes it: containerd sometimes
// refuses to remove one that ends by itself just then.
func (h *containerdHost) start(p *cri.Pod) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), machine.Limit)
	defer cancel()
	h.made++
	o := &cri.Container{Name: fmt.Sprint("c", h.made), Image: containerdImage}
	began := time.Now()
	err := h.CreateContainer(ctx, p, o)
	if err == nil {
		err = h.StartContainer(ctx, o)
	}
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	return took, h.RemoveContainer(ctx, o)
}
