package criu

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"oci-timens/internal/probe"
)

// step is what the clocks did while the container was away.
type step struct{ real, mono, boot time.Duration }

func (s step) String() string {
	return fmt.Sprintf("REALTIME %v, MONOTONIC %v, BOOTTIME %v", s.real, s.mono, s.boot)
}

// steps are those that the probe has seen while it was not there: where the machine is
// busy, it stands still at other times as well, and CLOCK_MONOTONIC goes on.
func steps(w probe.Watch) (list []step) {
	for _, l := range w.Steps {
		s := step{
			time.Duration(l.After.Realtime - l.Before.Realtime),
			time.Duration(l.After.Monotonic - l.Before.Monotonic),
			time.Duration(l.After.Boottime - l.Before.Boottime),
		}
		if s.real-s.mono > away/10 {
			list = append(list, s)
		}
	}
	return list
}

// stepOf is the latest of them.
func stepOf(t testing.TB, w probe.Watch) step {
	t.Helper()
	all := steps(w)
	if w.Backward != 0 || w.Disagreed != 0 || len(all) == 0 {
		t.Fatalf("the probe has seen %+v", w)
	}
	return all[len(all)-1]
}

// suspended fails where the clocks did not what they do while a machine is suspended.
// away is how long the container was not running, at least: CLOCK_MONOTONIC goes on
// while CRIU is at work.
func (s step) suspended(t testing.TB, away time.Duration) {
	t.Helper()
	if s.mono < 0 || s.mono > s.real-away {
		t.Errorf("CLOCK_MONOTONIC has counted the time it was away for, %v: %v", away, s)
	}
	if off := (s.boot - s.real).Abs(); off > 50*time.Millisecond {
		t.Errorf("CLOCK_BOOTTIME is %v off: %v", off, s)
	}
}

const away = time.Second

func TestRestore(t *testing.T) {
	for _, l := range runtimes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			t.Run("twice", func(t *testing.T) { s.on(t).testTwice(l) })
			t.Run("hops", func(t *testing.T) { s.on(t).testHops(l) })
			t.Run("plainly", func(t *testing.T) { s.on(t).testPlainly(l) })
			if l.name == "crun-1.21" {
				return // tells CRIU nothing of the devices that it binds there, and that dumps none
			}
			t.Run("user namespace", func(t *testing.T) { s.on(t).testUserNamespace(l) })
		})
	}
}

// testTwice restores from the same images again, which nobody may write to.
func (s *stand) testTwice(l lowLevel) {
	c := s.newContainer(l, map[string]string{"io.timens.boottime": "=5m", "io.timens.monotonic": "+36h"}, "", "")
	c.start()
	defer c.kill()
	files := c.files()
	c.must(c.checkpoint())
	c.Run("mount", "--bind", c.images(), c.images())
	c.Run("mount", "-o", "remount,bind,ro", c.images())
	before := c.digest()
	for range 2 {
		time.Sleep(away)
		c.must(c.restore())
		stepOf(s.t, c.seen()).suspended(s.t, away)
		if got := c.files(); got != files {
			s.t.Errorf("open before:\n%s\nafter:\n%s", files, got)
		}
		c.kill()
	}
	if after := c.digest(); after != before {
		s.t.Errorf("the images were\n%s\nand are\n%s", before, after)
	}
	if left := c.Run("sh", "-c", `ls /run/oci-timens | grep -v -e '^runtime-' -e '^criu-' || true`); left != "" {
		s.t.Errorf("left: %s", left)
	}
}

// testHops goes on over several checkpoints, the container living on meanwhile.
func (s *stand) testHops(l lowLevel) {
	c := s.newContainer(l, nil, "", "")
	c.start()
	defer c.kill()
	for hop := range 3 {
		c.must(c.checkpoint("--leave-running"))
		c.seen()
		c.kill()
		time.Sleep(away)
		c.must(c.restore())
		w := c.seen()
		stepOf(s.t, w).suspended(s.t, away)
		if len(steps(w)) != hop+1 {
			s.t.Errorf("hop %d: %+v", hop, w)
		}
	}
}

// testPlainly has CRIU restore as it does where what the shim needs is not there.
func (s *stand) testPlainly(l lowLevel) {
	c := s.newContainer(l, nil, "", "")
	c.start()
	defer c.kill()
	c.must(c.checkpoint())
	sidecar := c.Path(c.images() + "/oci-timens.json")
	text, err := os.ReadFile(sidecar)
	if err != nil {
		s.t.Fatal(err)
	}
	for damage, why := range map[string]string{
		"":                "no oci-timens.json in " + c.images() + ", as a checkpoint by timens-runc leaves it",
		string(text[:60]): c.images() + "/oci-timens.json: it is no sidecar of a checkpoint, or not a whole one: unexpected EOF",
		strings.Replace(string(text), "boottime=", "boottime=9", 1): "it was written after the dump, by ",
	} {
		c.Run("rm", "-f", c.images()+"/oci-timens.json")
		if damage != "" {
			c.Write(c.images()+"/oci-timens.json", damage, 0o600)
		}
		time.Sleep(away)
		c.must(c.restore())
		if log := c.logged(); !strings.Contains(log, "warning") || !strings.Contains(log, why) ||
			!strings.Contains(log, "CLOCK_BOOTTIME goes on as if no time had passed since the checkpoint: ") {
			s.t.Errorf("logged %q, want %q", log, why)
		}
		got := stepOf(s.t, c.seen())
		if got.mono < 0 || got.boot > got.real-away || got.boot < 0 {
			s.t.Errorf("%v", got)
		}
		c.kill()
	}
}

// testUserNamespace has a container in a user namespace, in which CRIU may not put it
// into a time namespace of others. The time that CRIU takes to read its copy of the image
// is estimated, and longer where the machine is busy.
func (s *stand) testUserNamespace(l lowLevel) {
	c := s.newContainer(l, nil, `,{"type":"user"}`, `,"uidMappings":[{"containerID":0,"hostID":100000,"size":1000}],"gidMappings":[{"containerID":0,"hostID":100000,"size":1000}]`)
	c.Run("chown", "-R", "100000:100000", c.bundle)
	c.Run("mkdir", "-p", "-m", "755", c.images()) // CRIU reads it with the rights of the namespace
	c.start()
	defer c.kill()
	c.must(c.checkpoint())
	before := c.digest()
	for range 2 {
		time.Sleep(away)
		c.must(c.restore())
		got := stepOf(s.t, c.seen())
		if off := (got.boot - got.real).Abs(); got.mono < 0 || got.mono > got.real-away || off > away/2 {
			s.t.Errorf("%v", got)
		}
		c.kill()
	}
	if after := c.digest(); after != before {
		s.t.Errorf("the images were\n%s\nand are\n%s", before, after)
	}
}

// on is the stand for a subtest.
func (s *stand) on(t testing.TB) *stand {
	sub := *s
	sub.t = t
	t.Cleanup(func() { s.made = sub.made })
	return &sub
}

// files lists what the container's init has open.
func (c *container) files() string {
	return c.Run("sh", "-c", `cd /proc/$(cat /run/`+c.id+`.pid)/fd && for f in *; do echo $f $(readlink $f); done`)
}

func (c *container) digest() string {
	return c.Run("sh", "-c", `cd `+c.images()+` && stat -c '%n %s %y' . * && cat * | sha256sum`)
}
