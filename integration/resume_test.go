package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/internal/probe"
)

// resumes is how many containers go on from the one before, of each way to start one.
var resumes = flag.Int("resumes", 20, "how many containers go on from each other's clocks")

const resume = "save and resume"

// newSaving is a container whose clocks are kept in a folder.
func newSaving(t *testing.T, s stack, dir string, probeArgs ...string) *container {
	t.Helper()
	c := newContainer(t, s, probeArgs...)
	c.toml = fmt.Sprintf("saved-dir = %q\n", dir)
	return c
}

// keep has the container ask for its clocks to be kept, and to go on from there.
func (c *container) keep(name string) {
	annotate(c.spec, "io.timens.save", name, "io.timens.resume", "saved-or-new:"+name)
}

// moment is one look at the clocks: at which time of CLOCK_REALTIME each read what.
type moment struct{ mono, boot probe.Sample }

func momentOf(r probe.Report) moment { return moment{r.Monotonic, r.Boottime} }

// steps are how far clocks have gone from one moment to another, beside the time that has
// passed meanwhile, as exactly as can be told.
type steps struct{ mono, boot, byMono, byBoot span }

func (m moment) to(n moment) steps {
	read := func(s probe.Sample) span { return span{s.VDSO, s.VDSOAfter} }
	return steps{
		read(n.mono).minus(read(m.mono)), read(n.boot).minus(read(m.boot)),
		span{n.mono.Realtime - m.mono.Realtime, n.mono.Realtime - m.mono.Realtime},
		span{n.boot.Realtime - m.boot.Realtime, n.boot.Realtime - m.boot.Realtime},
	}
}

// checkResumed has clocks have gone on from one container to the next: CLOCK_MONOTONIC
// somewhere between not at all and for the time that has passed, and CLOCK_BOOTTIME for
// that.
func checkResumed(t *testing.T, what string, m, n moment) steps {
	t.Helper()
	const exact = int64(time.Millisecond)
	s := m.to(n)
	if s.mono.lo < 0 || s.boot.lo < 0 {
		t.Errorf("%s: a clock has gone backward: %+v", what, s)
	}
	if s.mono.lo > s.byMono.hi {
		t.Errorf("%s: CLOCK_MONOTONIC has gone faster than time: %+v", what, s)
	}
	if d := s.boot.minus(s.byBoot); d.lo < -exact || d.hi > exact {
		t.Errorf("%s: CLOCK_BOOTTIME has gone by %v more than CLOCK_REALTIME: %+v", what, d, s)
	}
	return s
}

// TestResume starts containers one after the other, each of which goes on with the clocks
// of the one before.
func TestResume(t *testing.T) {
	eachStack(t, resume, func(t *testing.T, s stack) {
		dir := filepath.Join(t.TempDir(), "saved")
		var before moment
		var worst steps
		for i := range *resumes {
			c := newSaving(t, s, dir)
			c.keep("db")
			annotate(c.spec, "io.timens.monotonic", "=1h", "io.timens.boottime", "+400d") // the first
			now := momentOf(c.run().inside)
			if i == 0 {
				want{reads(time.Hour), ahead(400 * day)}.check(t, c.created, c.created)
			} else {
				s := checkResumed(t, fmt.Sprint("run ", i), before, now)
				worst.mono.hi = max(worst.mono.hi, s.byMono.hi-s.mono.lo)
				worst.boot = worst.boot.including(s.boot.minus(s.byBoot))
			}
			before = now
			if t.Failed() {
				return
			}
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		}
		t.Logf("%d runs: CLOCK_MONOTONIC has stood still for at most %v at once, CLOCK_BOOTTIME differs from CLOCK_REALTIME by %v..%v",
			*resumes, time.Duration(worst.mono.hi), time.Duration(worst.boot.lo), time.Duration(worst.boot.hi))
	})
}

// TestResumeCrash has nobody see a container end: the next goes on as if it had run until
// then.
func TestResumeCrash(t *testing.T) {
	eachStack(t, resume, func(t *testing.T, s stack) {
		dir := filepath.Join(t.TempDir(), "saved")
		c := newSaving(t, s, dir, "hold")
		c.keep("db")
		annotate(c.spec, "io.timens.monotonic", "+9h", "io.timens.boottime", "-1s")
		before := momentOf(c.start().inside)
		for _, d := range []string{"first", "second"} { // one that dies with it, and one that runs
			next := newSaving(t, s, dir)
			next.keep("db")
			w := want{ahead(9 * time.Hour), ahead(-time.Second)}
			w.check(t, next.created, next.run())
			checkResumed(t, d, before, momentOf(next.created.inside))
			if d == "first" {
				c.must("kill", c.id, "KILL")
				c.reap()
			}
		}
	})
}

// TestSaveAlone is about who only asks that clocks be kept: it has the host's.
func TestSaveAlone(t *testing.T) {
	eachStack(t, resume, func(t *testing.T, s stack) {
		dir := filepath.Join(t.TempDir(), "saved")
		c := newSaving(t, s, dir, "hold")
		annotate(c.spec, "io.timens.save", "db")
		want{}.check(t, c.created, c.start())
		before := momentOf(host(t))
		c.stop()
		time.Sleep(30 * time.Millisecond)
		next := newSaving(t, s, dir)
		annotate(next.spec, "io.timens.resume", "saved:db")
		checkResumed(t, "after it", before, momentOf(next.run().inside))
		if listing(t, dir) != "db" {
			t.Errorf("%s has %q", dir, listing(t, dir))
		}
	})
}

// snapshot is one of a container that had these readings, of so long ago on this boot, or
// on another by the wall clock; with it comes what the host's clocks read now.
func snapshot(t *testing.T, mono, boot, ago time.Duration, otherBoot bool) (text string, now probe.Report) {
	t.Helper()
	h := host(t)
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if otherBoot {
		id = []byte("00000000-0000-0000-0000-000000000000")
		h.Boottime.Raw += int64(9000 * time.Hour) // which was up for longer
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%d.%09d", d/time.Second, d%time.Second) }
	return fmt.Sprintf("v1:monotonic=%s:boottime=%s:realtime=%s:host-boottime=%s:boot-id=%s", seconds(mono), seconds(boot),
		seconds(time.Duration(h.Boottime.Realtime)-ago), seconds(time.Duration(h.Boottime.Raw)-ago), strings.TrimSpace(string(id))), h
}

// TestResumeSnapshot has containers go on from snapshots by their text.
func TestResumeSnapshot(t *testing.T) {
	for name, tt := range map[string]struct {
		ago       time.Duration
		otherBoot bool
		gap       time.Duration // what CLOCK_BOOTTIME counts
		log       string
	}{
		"of this boot":              {time.Minute, false, time.Minute, ""},
		"of a host up for longer":   {25 * time.Hour, true, 25 * time.Hour, ""},
		"a wall clock that stepped": {-time.Hour, true, 0, "CLOCK_BOOTTIME goes on as if no time had passed since"},
	} {
		t.Run(name, func(t *testing.T) {
			eachStack(t, resume, func(t *testing.T, s stack) {
				const mono, boot = 40*time.Hour + 1, 400*day + 999999999
				c := newContainer(t, s)
				text, then := snapshot(t, mono, boot, tt.ago, tt.otherBoot)
				annotate(c.spec, "io.timens.resume", text)
				in := c.run().inside
				took := span{0, c.created.after.Boottime.Realtime - then.Boottime.Realtime}
				if d := (span{in.Monotonic.VDSO - int64(mono), in.Monotonic.VDSOAfter - int64(mono)}); d.lo < 0 || d.hi > took.hi {
					t.Errorf("CLOCK_MONOTONIC has gone by %v, of %v", d, took)
				}
				d := span{in.Boottime.VDSO - int64(boot+tt.gap), in.Boottime.VDSOAfter - int64(boot+tt.gap)}
				passed := took
				if tt.gap > 0 { // the distance to CLOCK_REALTIME is kept
					real := in.Boottime.Realtime - then.Boottime.Realtime
					passed = span{real, real}.widened(int64(time.Millisecond))
				}
				if d.lo < passed.lo || d.hi > passed.hi {
					t.Errorf("CLOCK_BOOTTIME has gone by %v, want %v", d, passed)
				}
				if !strings.Contains(c.log(), tt.log) {
					t.Errorf("the log has no %q:\n%s", tt.log, c.log())
				}
			})
		})
	}
}

func TestRefusesResume(t *testing.T) {
	good, _ := snapshot(t, time.Hour, time.Hour, time.Minute, false)
	early, _ := snapshot(t, time.Hour, time.Hour, -time.Hour, false)
	for name, tt := range map[string]struct{ value, toml, text string }{
		"no snapshot":         {"yesterday", "", `annotation "io.timens.resume": "yesterday": want a snapshot as timensctl snapshot prints it, or "saved:NAME" or "saved-or-new:NAME"`},
		"cut":                 {good[:len(good)-1], "", `no boot ID, which is 36 hexadecimal digits and dashes`},
		"edited":              {strings.Replace(good, "monotonic=3600", "monotonic=-3600", 1), "", `no number of seconds`},
		"edited more":         {strings.Replace(good, "v1:", "v1:uptime=1:", 1), "", `unknown field "uptime" of a snapshot`},
		"beyond 146 years":    {strings.Replace(good, "monotonic=3600", "monotonic=9000000000", 1), "", `the kernel allows no clock beyond 53375d23h53m38s (146 years)`},
		"not come yet":        {early, "", `the snapshot is of this boot of this host, at `},
		"by policy":           {good, "[policy]\nmax-offset = \"1s\"\nmin-offset = \"-1s\"\n", `policy.m`},
		"nothing saved":       {"saved:none", "saved-dir = \"/nowhere\"\n", `annotation "io.timens.resume": "saved:none": nothing has been saved under that name in /nowhere; "saved-or-new:" lets the first container start without`},
		"a name outside":      {"saved:../db", "", `"../db" is no name of a snapshot`},
		"another's namespace": {"saved:other/db", "", `"other/db" is no name of a snapshot`},
	} {
		t.Run(name, func(t *testing.T) {
			eachStack(t, "refuses bad requests", func(t *testing.T, s stack) {
				c := newContainer(t, s)
				c.toml = tt.toml
				annotate(c.spec, "io.timens.resume", tt.value)
				c.refused("create", tt.text)
			})
		})
	}
}

func TestRefusesSave(t *testing.T) {
	full := filepath.Join(t.TempDir(), "full")
	for _, name := range []string{"", "a", "b"} {
		if err := os.MkdirAll(full, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(full, name), []byte("damaged"), 0o600); err != nil && name != "" {
			t.Fatal(err)
		}
	}
	dir := fmt.Sprintf("saved-dir = %q\n", full)
	for name, tt := range map[string]struct{ save, toml, text string }{
		"not allowed":  {"db", dir + "[policy]\nmax-saved = 0\n", `annotation "io.timens.save": "db" is denied by the configuration of this host: policy.max-saved is 0`},
		"too many":     {"db", dir + "[policy]\nmax-saved = 2\n", `policy.max-saved allows no more: remove those that nobody needs`},
		"damaged":      {"a", dir, full + "/a: it is no snapshot of clocks, or not a whole one: put it right, or remove it for clocks that start anew"},
		"no folder":    {"db", "saved-dir = \"/proc/none\"\n", `mkdir /proc/none`},
		"a bad name":   {"a/b", dir, `annotation "io.timens.save": "a/b" is no name for a snapshot`},
		"a hidden one": {".new", dir, `annotation "io.timens.save": ".new" is no name for a snapshot`},
	} {
		t.Run(name, func(t *testing.T) {
			eachStack(t, "refuses bad requests", func(t *testing.T, s stack) {
				c := newContainer(t, s)
				c.toml = tt.toml
				annotate(c.spec, "io.timens.save", tt.save)
				r := c.try("run", "--bundle", c.bundle(), c.id)
				if said := c.said(r); r.exit == 0 || !strings.Contains(said, tt.text) || r.stdout != "" {
					t.Errorf("exit %d, stdout %q, stderr\n%s\nwant it to say %s", r.exit, r.stdout, said, tt.text)
				}
			})
		})
	}
}
