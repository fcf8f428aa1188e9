package podman

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// modes are those of "timensctl configure podman --mode".
var modes = []string{"runtime", "hook", "precreate"}

// runtimeFlags choose the low-level runtime of a container: by our configuration
// where the shim is podman's runtime.
func (s *stand) runtimeFlags(mode string, l lowLevel) []string {
	if mode == "runtime" {
		return []string{"--runtime", "timens"}
	}
	return []string{"--runtime", l.path}
}

// TestModes sets podman up in each way, looks at what comes of it with each
// low-level runtime, and removes it.
func TestModes(t *testing.T) {
	for _, r := range releases {
		for _, user := range users {
			for _, mode := range modes {
				t.Run(r.name+"/"+user+"/"+mode, func(t *testing.T) {
					t.Parallel()
					if mode == "precreate" && !r.precreate {
						testNoPrecreate(t, r, user)
						return
					}
					testMode(t, newStand(t, r, user), mode)
				})
			}
		}
	}
}

func testMode(t *testing.T, s *stand, mode string) {
	s.setup(s.runtimes[0], "")
	before := s.files()
	said := s.configure(t, "--mode", mode)
	if !strings.Contains(said, mode) {
		t.Errorf("configure said nothing of its mode:\n%s", said)
	}
	configured := s.files()
	if len(configured.Changes(before)) == 0 {
		t.Fatal("configure changed no file")
	}
	s.configure(t, "--mode", mode)
	s.files().Same(t, configured)
	for _, l := range s.runtimes {
		t.Run(strings.ReplaceAll(l.version, " ", "-"), func(t *testing.T) {
			row := stack{s.release.podman, s.user, mode, l.version}
			c := &cell{stand: s, mode: mode, lowLevel: l, flags: s.runtimeFlags(mode, l)}
			s.setup(l, "")
			c.lifecycle(t, row)
			row.run(t, "nothing asked", c.nothingAsked)
			row.run(t, "pod", c.pod)
			row.run(t, "kube play", c.kubePlay)
			row.run(t, "build", c.build)
			row.run(t, "refusals", c.refusals)
		})
	}
	removed := t.Run("removal", func(t *testing.T) {
		s.setup(s.runtimes[0], "")
		s.configure(t, "--remove")
		s.files().Same(t, before)
		s.configure(t, "--remove") // there is nothing left to do
		s.files().Same(t, before)
		expectHost(t, "a container after the removal", machine.Report(t, s.podman(t, with([]string{"run", "--rm"}, annotate(asked), []string{image, "now"})...)))
	})
	result := "yes"
	if !removed {
		result = "**FAILED**"
	}
	for _, l := range s.runtimes {
		stack{s.release.podman, s.user, mode, l.version}.enter("removal", result)
	}
}

// testNoPrecreate shows that a podman which would lose the offsets is not set up so.
func testNoPrecreate(t *testing.T, r release, user string) {
	s := newStand(t, r, user)
	before := s.files()
	args := []string{"timensctl", "configure", "podman", "--mode=precreate"}
	if user != "root" {
		args = append(args, "--rootless")
	}
	out, err := s.command(args...)
	if err == nil || !strings.Contains(out.Stderr, "podman "+r.podman+" loses linux.timeOffsets of a precreate hook") {
		t.Errorf("configure: %v\n%s%s", err, out.Stdout, out.Stderr)
	}
	s.files().Same(t, before)
	for _, l := range r.runtimes {
		for _, f := range features {
			stack{r.podman, user, "precreate", l.version}.enter(f, "refused")
		}
	}
}

// cell is what is tested with one podman, mode and low-level runtime.
type cell struct {
	*stand
	lowLevel
	mode  string
	flags []string
}

// do runs a command of podman with the low-level runtime of the cell.
func (c *cell) do(t *testing.T, args ...string) string {
	t.Helper()
	return c.stand.podman(t, with(c.flags, args)...)
}

const noExec = "exec has the host's clocks"

// lifecycle follows one container.
func (c *cell) lifecycle(t *testing.T, row stack) {
	var now machine.Clocks
	starts := 0
	// start checks the clocks after another start, and with them those of exec.
	start := func(t *testing.T, args ...string) {
		t.Helper()
		began := time.Now()
		c.do(t, args...)
		starts++
		r := c.report(t, "c", starts)
		if r.TimeNamespace == ownTime(t) || r.TimeForChildren != r.TimeNamespace {
			t.Errorf("time namespaces %s and %s", r.TimeNamespace, r.TimeForChildren)
		}
		now = expectAsked(t, r, began)
	}
	defer c.do(t, "rm", "--force", "--time=0", "c")
	row.run(t, "init", func(t *testing.T) string {
		start(t, with([]string{"run", "--detach", "--name=c", "--health-cmd=/probe now >/tmp/health", "--health-interval=disable"}, annotate(asked), []string{image})...)
		return ""
	})
	row.run(t, "exec", func(t *testing.T) string { return c.expectExec(t, now) })
	row.run(t, "inspect", func(t *testing.T) string { c.expectInspect(t, "c", now); return "" })
	row.run(t, "restart", func(t *testing.T) string {
		first := now
		start(t, "restart", "--time=0", "c")
		if now.Boottime >= first.Boottime {
			t.Errorf("after the restart CLOCK_BOOTTIME is ahead by %v, and was by %v: it has not started anew", now.Boottime, first.Boottime)
		}
		c.do(t, "stop", "--time=0", "c")
		start(t, "start", "c")
		c.expectExec(t, now)
		return ""
	})
}

// expectExec checks the clocks of what is executed in the container c, by hand and
// as its health check.
func (c *cell) expectExec(t *testing.T, now machine.Clocks) (limit string) {
	t.Helper()
	r := c.stand.exec(t, "c")
	c.do(t, "healthcheck", "run", "c")
	health := machine.Report(t, c.do(t, "exec", "c", "sh", "-c", "cat /tmp/health"))
	if !c.lowLevel.exec {
		expectHost(t, "exec", r)
		expectHost(t, "the health check", health)
		return noExec
	}
	expectNear(t, "exec", machine.Ahead(t, r), now)
	expectNear(t, "the health check", machine.Ahead(t, health), now)
	return ""
}

// nothingAsked is about containers that are none of our business, and others that
// do not stay.
func (c *cell) nothingAsked(t *testing.T) (limit string) {
	expectHost(t, "a container without annotations", machine.Report(t, c.do(t, "run", "--rm", image, "now")))
	c.do(t, "run", "--detach", "--name=plain", "--annotation=org.example.boottime==0", image)
	expectHost(t, "exec into a container without annotations", c.stand.exec(t, "plain"))
	c.do(t, "rm", "--force", "--time=0", "plain")

	began := time.Now()
	expectAsked(t, machine.Report(t, c.do(t, with([]string{"run", "--rm"}, annotate(asked), []string{image, "now"})...)), began)
	c.do(t, with([]string{"create", "--name=later"}, annotate(asked), []string{image, "now"})...)
	began = time.Now()
	expectAsked(t, machine.Report(t, c.do(t, "start", "--attach", "later")), began)
	c.do(t, "rm", "later")
	return ""
}

// build builds an image, whose steps are containers too.
func (c *cell) build(t *testing.T) (limit string) {
	c.buildImage(t, c.flags...)
	expectHost(t, "a step of a build", machine.Report(t, c.do(t, "run", "--rm", "--entrypoint=/bin/sh", "built", "-c", "cat /built")))
	c.do(t, "rmi", "built")
	return ""
}

// buildImage makes an image "built", with what a step of the build has reported.
func (s *stand) buildImage(t *testing.T, flags ...string) {
	t.Helper()
	dir := filepath.Join(s.home, "build")
	s.run(t, "mkdir", "-p", dir)
	s.Write(filepath.Join(dir, "Containerfile"), "FROM "+image+"\nRUN /probe now >/built\n", 0o644)
	s.podman(t, with(flags, []string{"build", "--quiet", "--tag=built", dir})...)
	s.run(t, "rm", "-r", dir)
}
