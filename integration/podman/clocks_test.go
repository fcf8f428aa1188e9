package podman

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// asked is what most containers here ask for: one offset, and one clock that starts
// anew with each start.
var asked = map[string]string{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"}

const offset = 36 * time.Hour

func annotate(annotations map[string]string) (args []string) {
	for key, value := range annotations {
		args = append(args, "--annotation", key+"="+value)
	}
	return args
}

// with joins arguments.
func with(lists ...[]string) (args []string) {
	for _, l := range lists {
		args = append(args, l...)
	}
	return args
}

// reports waits until a container's init has reported n times, once for each of its
// starts, and returns the last one.
func (s *stand) report(t *testing.T, container string, n int) probe.Report {
	t.Helper()
	var out string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		out = s.podman(t, "logs", container)
		var lines []string
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "{") && strings.HasSuffix(line, "\n") || strings.HasSuffix(line, "}") {
				lines = append(lines, line)
			}
		}
		if len(lines) > n {
			t.Fatalf("%s has reported %d times, and was started %d times", container, len(lines), n)
		}
		if len(lines) == n {
			return machine.Report(t, lines[n-1])
		}
	}
	t.Fatalf("%s has not reported %d times:\n%s", container, n, out)
	return probe.Report{}
}

// exec reports what a process sees that is executed in a container.
func (s *stand) exec(t *testing.T, container string) probe.Report {
	t.Helper()
	return machine.Report(t, s.podman(t, "exec", container, "/probe", "now"))
}

// tick is how exactly the start of a process is known.
const tick = 10 * time.Millisecond

// expectAsked checks the clocks of an init that was started after began and asked
// for what asked says, and returns them.
func expectAsked(t *testing.T, r probe.Report, began time.Time) machine.Clocks {
	t.Helper()
	c := machine.Ahead(t, r)
	expectNear(t, "the monotonic clock", machine.Clocks{Monotonic: c.Monotonic}, machine.Clocks{Monotonic: offset})
	reads, most := time.Duration(r.Boottime.VDSO), time.Unix(0, r.Boottime.Realtime).Sub(began)+tick
	if reads < 0 || reads > most {
		t.Errorf("CLOCK_BOOTTIME reads %v; it was to start at zero, at most %v ago", reads, most)
	}
	if reads := time.Duration(r.Uptime); reads > most {
		t.Errorf("/proc/uptime reads %v; it was to start at zero, at most %v ago", reads, most)
	}
	return c
}

func expectNear(t *testing.T, whose string, got, want machine.Clocks) {
	t.Helper()
	if !got.Near(want) {
		t.Errorf("%s: ahead by %+v, want %+v", whose, got, want)
	}
}

// ownTime is the time namespace of this machine and of all those on it.
func ownTime(t *testing.T) string {
	t.Helper()
	ns, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// expectHost checks that a report is of a process with this machine's clocks.
func expectHost(t *testing.T, whose string, r probe.Report) {
	t.Helper()
	if own := ownTime(t); r.TimeNamespace != own || r.TimeForChildren != own {
		t.Errorf("%s: time namespaces %s and %s, want this machine's %s", whose, r.TimeNamespace, r.TimeForChildren, own)
	}
	expectNear(t, whose, machine.Ahead(t, r), machine.Clocks{})
}

// expectInspect checks what timensctl inspect and podman inspect say of a container.
func (s *stand) expectInspect(t *testing.T, container string, want machine.Clocks) {
	t.Helper()
	id, noted, _ := strings.Cut(s.podman(t, "inspect", "--format={{.Id}} {{json .Config.Annotations}}", container), " ")
	type clock struct{ Secs, Nanosecs int64 }
	var view struct {
		Container string
		Offsets   struct{ Monotonic, Boottime clock }
		Threads   []any
	}
	unmarshal(t, s.run(t, "timensctl", "inspect", "--output", "json", id), &view)
	is := func(c clock) time.Duration {
		return time.Duration(c.Secs)*time.Second + time.Duration(c.Nanosecs)
	}
	if view.Container != id || is(view.Offsets.Monotonic) != offset || len(view.Threads) != 1 {
		t.Errorf("timensctl inspect %s: %+v", id, view)
	}
	expectNear(t, "timensctl inspect", machine.Clocks{Monotonic: is(view.Offsets.Monotonic), Boottime: is(view.Offsets.Boottime)}, want)

	var annotations map[string]string
	unmarshal(t, noted, &annotations)
	for key, value := range asked {
		if annotations[key] != value {
			t.Errorf("podman inspect: annotation %q is %q, want %q", key, annotations[key], value)
		}
	}
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}
