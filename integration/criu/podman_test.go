package criu

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

const image = "localhost/probe:latest"

// settings make podman run in a machine without systemd, with the shim as its runtime.
const settings = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "host"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "timens"
infra_image = "` + image + `"
[engine.runtimes]
timens = ["/usr/bin/timens-runc"]
`

// crunHere is crun 1.21 told what runc reads in /etc/criu/runc.conf.
const crunHere = `#!/bin/bash
args=()
for a; do
	args+=("$a")
	case $a in checkpoint | restore) args+=(--manage-cgroups-mode ignore) ;; esac
done
exec /usr/bin/crun "${args[@]}"
`

// podStand is a stand with podman on a low-level runtime.
type podStand struct{ *stand }

func newPodStand(t testing.TB, l lowLevel) podStand {
	t.Helper()
	s := podStand{newStand(t)}
	if strings.HasPrefix(l.name, "crun") {
		s.Write("/opt/crun/crun", crunHere, 0o755)
		l.path = "/opt/crun/crun"
	}
	s.Write("/etc/oci-timens/config.toml", "runtimes = [\""+l.path+"\"]\n", 0o644)
	s.Write("/etc/containers/containers.conf.d/10-machine.conf", settings, 0o644)
	// CRIU cannot restore cgroups here, and podman has no option for that.
	s.Write("/etc/criu/runc.conf", "manage-cgroups=ignore\n", 0o644)
	s.Copy(machine.Image(t, image), "/image.tar", 0o644)
	s.podman("load", "-q", "-i", "/image.tar")
	return s
}

func (s podStand) podman(args ...string) string {
	s.t.Helper()
	out, err := s.Try(append([]string{"PODMAN_IGNORE_CGROUPSV1_WARNING=1", "podman"}, args...)...)
	if err != nil {
		logs, _ := filepath.Glob(s.Path("/var/lib/containers/storage/overlay-containers/*/userdata/*.log"))
		for _, name := range logs {
			text, _ := os.ReadFile(name)
			s.t.Logf("%s:\n%s", name, errorsIn(string(text)))
		}
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out.Stdout)
}

func (s podStand) start(name string, more ...string) {
	s.t.Helper()
	s.podman(append(append([]string{"run", "-d", "--name", name}, more...), image, "watch", seenFile, "1h")...)
	s.watches(s.pid(name))
}

func (s podStand) pid(name string) string {
	s.t.Helper()
	return s.podman("inspect", "--format", "{{.State.Pid}}", name)
}

// seenBy asks the probe in a container what it has seen.
func (s podStand) seenBy(name string) (w probe.Watch) {
	s.t.Helper()
	return s.seenIn(s.pid(name))
}

// seenIn is what the probe with this PID has seen, wherever its files are.
func (s *stand) seenIn(pid string) (w probe.Watch) {
	s.t.Helper()
	file := s.Path("/proc/" + pid + "/root" + seenFile)
	os.Remove(file)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s.Run("kill", "-HUP", pid)
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if err := json.Unmarshal(text, &w); err != nil {
			s.t.Fatal(err)
		}
		return w
	}
	s.t.Fatal("the probe does not answer")
	return w
}

func TestPodman(t *testing.T) {
	for _, l := range runtimes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newPodStand(t, l)
			s.start("a", "--annotation", "io.timens.boottime==497d")
			for range 2 {
				s.podman("container", "checkpoint", "a")
				time.Sleep(away)
				s.podman("container", "restore", "a")
				got := stepOf(t, s.seenBy("a"))
				got.suspended(t, away)
				t.Log(got)
			}
			// As it goes to another host, and more than once.
			s.podman("container", "checkpoint", "--export", "/a.tar", "a")
			s.podman("rm", "-f", "a")
			for i := range 2 {
				time.Sleep(away)
				name, as := "b"+strconv.Itoa(i), []string{"--name", "b" + strconv.Itoa(i)}
				if strings.HasPrefix(l.name, "crun") {
					name, as = "a", nil // which has the same cgroup
				}
				s.podman(append([]string{"container", "restore", "--import", "/a.tar"}, as...)...)
				got := stepOf(t, s.seenBy(name))
				got.suspended(t, away)
				t.Log(got)
				if l.name == "runc-1.1.15" {
					continue // its exec joins no time namespace
				}
				if r := machine.Report(t, s.podman("exec", name, "/probe")); time.Duration(r.Uptime) < 497*24*time.Hour {
					t.Errorf("exec: %+v", r)
				}
				s.podman("rm", "-f", "-t", "0", name)
			}
		})
	}
}

// TestPodmanPod restores the containers of a pod that share their clocks into another one.
func TestPodmanPod(t *testing.T) {
	t.Parallel()
	const lead = 10 * time.Second // of b's clocks
	s := newPodStand(t, runtimes[0])
	pod := func(name string) { s.podman("pod", "create", "--name", name, "--share", "ipc,uts") }
	pod("p")
	for _, name := range []string{"a", "b"} {
		s.start(name, "--pod", "p", "--annotation", "io.timens.boottime==5m")
	}
	s.podman("container", "checkpoint", "--export", "/a.tar", "a")
	time.Sleep(lead)
	s.podman("container", "checkpoint", "--export", "/b.tar", "b")
	s.podman("pod", "rm", "-f", "-t", "0", "p")
	restore := func(name, pod string) error {
		_, err := s.Try("PODMAN_IGNORE_CGROUPSV1_WARNING=1", "podman", "container", "restore", "--import", "/"+name+".tar", "--pod", pod)
		return err
	}

	pod("highest-first")
	offsets := map[string]bool{}
	for _, name := range []string{"b", "a"} {
		if err := restore(name, "highest-first"); err != nil {
			t.Fatal(err)
		}
		got := stepOf(t, s.seenBy(name))
		if off := (got.boot - got.real).Abs(); off > 50*time.Millisecond || got.mono < 0 {
			t.Errorf("%s: %v", name, got)
		}
		offsets[s.Run("cat", "/proc/"+s.pid(name)+"/timens_offsets")] = true
	}
	if len(offsets) != 1 {
		t.Errorf("they do not share their clocks: %v", offsets)
	}
	s.podman("pod", "rm", "-f", "-t", "0", "highest-first")

	pod("lowest-first")
	if err := restore("a", "lowest-first"); err != nil {
		t.Fatal(err)
	}
	err := restore("b", "lowest-first")
	if err == nil || !strings.Contains(err.Error(), " share their clocks, and there CLOCK_MONOTONIC is ") {
		t.Error(err)
	}
}
