package criu

import (
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// TestContainerd has ctr keep a container as an image, and make another of it.
func TestContainerd(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, p := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		s.Copy(machine.Tool(t, "containerd-2.4.2/"+p), "/usr/local/bin/"+p, 0o755)
	}
	s.Write("/etc/containerd/config.toml", `version = 3
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]
`, 0o644)
	s.Write("/etc/oci-timens/config.toml", "runtimes = [\""+runtimes[0].path+"\"]\n", 0o644)
	s.Write("/etc/criu/runc.conf", "manage-cgroups=ignore\n", 0o644)
	s.Copy(machine.Image(t, image), "/image.tar", 0o644)
	s.Start("containerd").Await(func() error {
		_, err := s.Try("ctr", "version")
		return err
	})
	s.Run("ctr", "image", "import", "/image.tar")
	pid := func(id string) string {
		for line := range strings.Lines(s.Run("ctr", "task", "ls")) {
			if f := strings.Fields(line); f[0] == id {
				return f[1]
			}
		}
		t.Fatal("no task " + id)
		return ""
	}
	s.Run("ctr", "run", "--detach", "--null-io", "--runc-binary", "/usr/bin/timens-runc", "--annotation", "io.timens.boottime==497d",
		image, "a", "/probe", "watch", seenFile, "1h")
	s.watches(pid("a"))
	s.Run("ctr", "container", "checkpoint", "--rw", "--image", "--task", "a", "checkpoint/a:latest")
	s.Run("ctr", "task", "rm", "--force", "a")
	for _, id := range []string{"b", "c"} {
		time.Sleep(away)
		s.Run("ctr", "container", "restore", "--rw", "--live", id, "checkpoint/a:latest")
		got := stepOf(t, s.seenIn(pid(id)))
		got.suspended(t, away)
		t.Log(got)
		s.Run("ctr", "task", "rm", "--force", id)
	}
}
