package machine

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"oci-timens/internal/probe"
	"oci-timens/internal/testenv"
)

func lacks(t testing.TB, what string, reason any) { t.Helper(); testenv.Lacks(t, what, reason) }

// Clocks is by how much the clocks of a process are ahead of this machine's, to
// about a microsecond when nothing disturbs the measurement.
type Clocks struct{ Monotonic, Boottime time.Duration }

// Report decodes what the probe wrote: the first line of out that is a report.
func Report(t testing.TB, out string) (r probe.Report) {
	t.Helper()
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &r) == nil {
			return r
		}
	}
	t.Fatalf("no report of the probe in %q", out)
	return r
}

// Ahead tells the clocks of whoever wrote a report. No time namespace shifts
// CLOCK_REALTIME, so that the distance of a clock to it, inside and here, tells
// the offset whenever the report was made, unless the time was set in between.
func Ahead(t testing.TB, r probe.Report) Clocks {
	t.Helper()
	here, err := probe.Read()
	if err != nil {
		t.Fatal(err)
	}
	ahead := func(inside, here probe.Sample) time.Duration {
		return time.Duration(inside.VDSO - inside.Realtime - (here.VDSO - here.Realtime))
	}
	if r.Monotonic.VDSO > r.Monotonic.Raw || r.Monotonic.Raw > r.Monotonic.VDSOAfter ||
		r.Boottime.VDSO > r.Boottime.Raw || r.Boottime.Raw > r.Boottime.VDSOAfter {
		t.Errorf("vDSO and system call disagree: %+v", r)
	}
	return Clocks{ahead(r.Monotonic, here.Monotonic), ahead(r.Boottime, here.Boottime)}
}

// Near tells whether two measurements are of the same clocks.
func (c Clocks) Near(o Clocks) bool {
	near := func(a, b time.Duration) bool { return (a - b).Abs() < 2*time.Millisecond }
	return near(c.Monotonic, o.Monotonic) && near(c.Boottime, o.Boottime)
}
