package timens

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// reportStart tells when this process was started, by the clocks of the host.
func reportStart() {
	p, err := OpenProcess(os.Getpid())
	if err != nil {
		fatal(err)
	}
	h, err := ReadHost()
	if err != nil {
		fatal(err)
	}
	if h, err = p.HostAtStart(h); err != nil {
		fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(h.Clocks)
}

// TestHostAtStart asks a process whose clocks are not the host's, as those of a hook in a
// shifted container are.
func TestHostAtStart(t *testing.T) {
	requireRoot(t)
	for _, o := range []string{"+0", "+20d", "-0.5"} {
		cmd := Command(Offsets{Boottime: offset(t, o)}, "/proc/self/exe")
		cmd.Env = append(os.Environ(), "TIMENS_TEST_ROLE=start")
		cmd.Stderr = os.Stderr
		before := clocks(t)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var at Clocks
		if err := json.Unmarshal(out, &at); err != nil {
			t.Fatal(err)
		}
		const tick = 10 * time.Millisecond
		if after := clocks(t); at.Boottime < before.Boottime-tick || at.Boottime > after.Boottime {
			t.Errorf("%s: started at %v, not between %v and %v", o, at.Boottime, before.Boottime, after.Boottime)
		}
	}
}
