package podman

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

const (
	many   = 200
	atOnce = 8
)

// TestMany starts many containers, several at a time: each gets what it asks for,
// and nothing is left of them.
func TestMany(t *testing.T) {
	for _, tt := range []struct {
		release, runtime int
		user, mode       string
	}{
		{0, 0, "root", "hook"},
		{1, 2, "root", "runtime"},
		{1, 0, "rootless", "hook"},
	} {
		r := releases[tt.release]
		t.Run(strings.Join([]string{r.name, tt.user, tt.mode}, "/"), func(t *testing.T) {
			t.Parallel()
			s := newStand(t, r, tt.user)
			s.setup(r.runtimes[tt.runtime], "")
			s.configure(t, "--mode", tt.mode)
			flags := s.runtimeFlags(tt.mode, r.runtimes[tt.runtime])
			if err := s.oneOfMany(t, flags, 0); err != nil { // makes what stays
				t.Fatal(err)
			}
			before := s.everything(t)
			numbers := make(chan int)
			var workers sync.WaitGroup
			for range atOnce {
				workers.Go(func() {
					for n := range numbers {
						if err := s.oneOfMany(t, flags, n); err != nil {
							t.Errorf("container %d: %v", n, err)
						}
					}
				})
			}
			for n := range many {
				numbers <- n
			}
			close(numbers)
			workers.Wait()
			s.expectNothingLeft(t, before)
		})
	}
}

// oneOfMany runs a container whose clocks are told from those of the others. Every
// tenth asks for nothing.
func (s *stand) oneOfMany(t *testing.T, flags []string, n int) error {
	want := machine.Clocks{Monotonic: time.Duration(n) * time.Minute, Boottime: time.Duration(n) * time.Hour}
	annotations := []string{fmt.Sprintf("--annotation=io.timens.monotonic=+%dm", n), fmt.Sprintf("--annotation=io.timens.boottime=+%dh", n)}
	if n%10 == 9 {
		want, annotations = machine.Clocks{}, nil
	}
	out, err := s.command(with([]string{"podman"}, flags, []string{"run", "--rm"}, annotations, []string{image, "now"})...)
	if err != nil {
		return err
	}
	if reports := strings.Count(out.Stdout, "\n"); reports != 1 {
		return fmt.Errorf("%d reports:\n%s", reports, out.Stdout)
	}
	if got := machine.Ahead(t, machine.Report(t, out.Stdout)); !got.Near(want) {
		return fmt.Errorf("ahead by %+v, want %+v", got, want)
	}
	return nil
}

// everything lists what there is on a machine that could leak: processes with their
// time namespaces, mounts, cgroups and files, by name.
func (s *stand) everything(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	processes, err := filepath.Glob(s.Path("/proc/[0-9]*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		line, err := os.ReadFile(filepath.Join(p, "cmdline"))
		if err != nil {
			continue // has ended
		}
		ns, _ := os.Readlink(filepath.Join(p, "ns/time"))
		all[fmt.Sprintf("process %s %q %s", filepath.Base(p), line, ns)] = true
	}
	mounts, err := os.ReadFile(s.Path("/proc/1/mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		all["mount "+line] = true
	}
	for _, dir := range []string{"/sys/fs/cgroup", "/run", "/tmp", "/var/lib/containers", "/var/lib/oci-timens", "/etc/containers", "/home/timens"} {
		err := filepath.WalkDir(s.Path(dir), func(name string, d fs.DirEntry, err error) error {
			if err == nil && (d.IsDir() || dir != "/sys/fs/cgroup") {
				all["file "+strings.TrimPrefix(name, s.Path("/"))] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// expectNothingLeft waits for conmon, which cleans up after podman has ended.
func (s *stand) expectNothingLeft(t *testing.T, before map[string]bool) {
	t.Helper()
	var left []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		left = left[:0]
		for _, name := range slices.Sorted(maps.Keys(s.everything(t))) {
			if !before[name] {
				left = append(left, name)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("%d things are left, such as\n%s", len(left), strings.Join(left[:min(len(left), 20)], "\n"))
}
