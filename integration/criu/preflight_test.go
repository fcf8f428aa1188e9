package criu

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

var asked = map[string]string{"io.timens.boottime": "=5m", "io.timens.monotonic": "+36h"}

// TestPreflight has a daemon in the container whose parent is its init by now, and that was
// started by an exec that did not join its time namespace: CRIU dumps it, and cannot
// restore it.
func TestPreflight(t *testing.T) {
	for _, l := range runtimes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			t.Run("stray", func(t *testing.T) { s.on(t).testStray(l) })
			t.Run("joined", func(t *testing.T) { s.on(t).testJoined(l) })
		})
	}
}

func (s *stand) testStray(l lowLevel) {
	c := s.newDaemons(l)
	defer c.kill()
	c.expectCheck("")
	command := c.enter("--pid") // by somebody else
	if l.name == "runc-1.1.15" {
		command = c.shim("exec", c.id)
	}
	why := fmt.Sprintf(`the container could not be restored: process %d ("probe") has other clocks than its init, process %d: it is in time:[`, c.daemon(command), c.pid())
	c.expectCheck(why)
	c.expectRefused(why)
	if l.name != "runc-1.1.15" {
		return
	}
	// Without the shim the container is lost.
	plain := []string{"--image-path", "/images/plain", "--work-path", "/images", "--manage-cgroups-mode", c.cgroups}
	c.Run(quiet(append(append([]string{c.path, "checkpoint"}, plain...), c.id))...)
	c.Fail(quiet(append(append([]string{c.path, "restore", "--detach", "--bundle", c.bundle}, plain...), c.id))...)
	if log := c.Run("cat", "/images/restore.log"); !strings.Contains(log, "Can't restore sub-task in NS") {
		s.t.Error(log)
	}
}

// testJoined has the daemon restored that an exec has started which did join.
func (s *stand) testJoined(l lowLevel) {
	if l.name == "runc-1.1.15" {
		s.t.Skip("its exec joins no time namespace")
	}
	c := s.newDaemons(l)
	defer c.kill()
	c.daemon(c.shim("exec", c.id))
	c.expectCheck("")
	c.must(c.checkpoint())
	c.must(c.restore())
	c.seen()
	if got := c.probes(); len(got) != 2 {
		s.t.Errorf("restored: %v", got)
	}
	c.expectCheck("")
}

// newDaemons starts a container with a shell, which lets go of what it has started.
func (s *stand) newDaemons(l lowLevel) *container {
	c := s.newContainer(l, asked, "", "")
	c.Copy(busybox(s.t), c.bundle+"/rootfs/sh", 0o755)
	c.start()
	return c
}

// TestPodmanTells has podman pass on why a container is not checkpointed, and timensctl
// find podman's containers by their IDs.
func TestPodmanTells(t *testing.T) {
	for _, l := range runtimes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newPodStand(t, l)
			s.start("a", "--annotation", "io.timens.boottime=+36h")
			id := s.podman("inspect", "--format", "{{.Id}}", "a")
			s.podman("container", "checkpoint", "a")
			time.Sleep(away)
			s.podman("container", "restore", "a")
			s.seenBy("a")
			tells := s.Run("timensctl", "inspect", id[:12])
			for _, want := range []string{"Restored from /var/lib/containers/", "CLOCK_BOOTTIME   +1d12h"} {
				if !strings.Contains(tells, want) {
					t.Errorf("no %q in %s", want, tells)
				}
			}
			s.Run("timensctl", "check", "--checkpoint", id)

			pid := s.pid("a")
			stray := s.Start("nsenter", "--target", pid, "--pid", "--", "sleep", "1000")
			stray.Await(func() error {
				if o, err := s.Try("timensctl", "check", "--checkpoint", id); err == nil {
					return fmt.Errorf("no process is elsewhere: %s", o.Stdout)
				}
				return nil
			})
			said := s.Fail("PODMAN_IGNORE_CGROUPSV1_WARNING=1", "podman", "container", "checkpoint", "a")
			if !strings.Contains(said, "is not checkpointed, and goes on: the container could not be restored: process ") {
				t.Errorf("podman says %q", said)
			}
			if w := s.seenBy("a"); s.pid("a") != pid || w.Backward != 0 {
				t.Errorf("process %s, and was %s: %+v", s.pid("a"), pid, w)
			}
		})
	}
}

// TestWithoutCRIU wants refusals by whose end the container has not noticed anything.
func TestWithoutCRIU(t *testing.T) {
	for tree, want := range map[string]string{
		"debian13-1": `CRIU is missing: there is no criu in PATH="`,
		"guest12-1":  `CRIU 3.17.1 (/usr/sbin/criu) does not work on this kernel: criu check: exit status 1: "`,
	} {
		t.Run(tree, func(t *testing.T) {
			t.Parallel()
			s := &stand{Machine: machine.New(t, machine.Tool(t, tree)), t: t}
			s.Install()
			s.Copy(busybox(t), "/usr/bin/kill", 0o755)
			l := lowLevel{"runc", "/usr/sbin/runc", "", "soft"}
			c := s.newContainer(l, asked, "", "")
			c.start()
			defer c.kill()
			c.expectCheck(want)
			c.expectRefused(want)
			if tree == "guest12-1" {
				c.expectCheck(`vdso: Unexpected rt vDSO area bounds; `)
			}
		})
	}
}

// expectRefused has the shim refuse a checkpoint, and the container live on.
func (c *container) expectRefused(why string) {
	c.t.Helper()
	err := c.try(c.checkpoint())
	if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `\"`, `"`), why) {
		c.t.Errorf("checkpoint: %v, want %q", err, why)
	}
	if left := c.Run("sh", "-c", "ls "+c.images()+" 2>/dev/null || true"); left != "" {
		c.t.Errorf("left: %s", left)
	}
	c.seen()
}

// expectCheck asks timensctl, which finds no problem if want is "".
func (c *container) expectCheck(want string) {
	c.t.Helper()
	o, err := c.Try("timensctl", "check", "--checkpoint", c.id)
	if (err == nil) != (want == "") || !strings.Contains(o.Stdout, want) {
		c.t.Errorf("check: %v\n%s, want %q", err, o.Stdout, want)
	}
}

func busybox(t testing.TB) string {
	path, err := exec.LookPath("busybox")
	if err != nil {
		testenv.Lacks(t, "busybox-static", err)
	}
	return path
}

// enter is a command that runs others in the container, and joins what is named as well.
func (c *container) enter(namespaces ...string) []string {
	args := []string{"nsenter", "--target", strconv.Itoa(c.pid()), "--mount", "--uts", "--ipc", "--root", "--wd"}
	return append(append(args, namespaces...), "--")
}

// daemon has a command start one in the container, of which init is the parent then, and
// returns its PID.
func (c *container) daemon(command []string) int {
	c.t.Helper()
	before := c.probes()
	c.Run(append(command, "/sh", "-c", "/probe hold </dev/null >/dev/null 2>&1 &")...)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for pid := range c.probes() {
			if !before[pid] {
				return pid
			}
		}
	}
	c.t.Fatal("no daemon has come")
	return 0
}

// probes are init and its children.
func (c *container) probes() map[int]bool {
	c.t.Helper()
	pid := c.pid()
	all := map[int]bool{pid: true}
	text := c.Run("sh", "-c", fmt.Sprintf("cat /proc/%d/task/*/children", pid))
	for _, f := range strings.Fields(text) {
		child, err := strconv.Atoi(f)
		if err != nil {
			c.t.Fatal(err)
		}
		name, _ := os.ReadFile(c.Path(fmt.Sprintf("/proc/%d/comm", child)))
		all[child] = string(name) == "probe\n"
	}
	return all
}
