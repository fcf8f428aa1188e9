package timens

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func init() { roles["inject"] = injectAnHour }

// injectAnHour is a hook that does what it can.
func injectAnHour() {
	pid, err := strconv.Atoi(os.Getenv("TIMENS_TEST_PID"))
	if err != nil {
		fatal(err)
	}
	p, err := OpenProcess(pid)
	if err != nil {
		fatal(err)
	}
	if err := Inject(p, Offsets{Boottime: Offset{secs: 3600}}); err != nil {
		fatal(err)
	}
}

// TestMountedOver has something mounted over what the kernel tells of a process. What
// was written to such a file, and read back from it, would not be the offsets.
func TestMountedOver(t *testing.T) {
	requireRoot(t)
	requireExecSwitch(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fake := t.TempDir() + "/timens_offsets"
	if err := os.WriteFile(fake, []byte("monotonic           0         0\nboottime            0         0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	other := startVictim(t, "read", nil).Process.Pid
	const mounted = "something else is mounted there, which does not tell of the process: unmount it"
	for name, tt := range map[string]struct {
		from, over, want string
		killed           bool // else the process was not touched
	}{
		"its offsets":    {fake, "/timens_offsets", "timens_offsets: " + mounted, true},
		"its folder":     {fmt.Sprintf("/proc/%d", other), "", mounted, false},
		"its namespaces": {fmt.Sprintf("/proc/%d/ns", other), "/ns", "it has no new time namespace", true},
		"its memory":     {"/dev/null", "/auxv", "auxv: " + mounted, true},
	} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, "read", nil)
			hook := exec.Command("unshare", "--mount", "sh", "-c", `mount --bind "$1" "/proc/$TIMENS_TEST_PID$2" && exec "$3"`, "sh", tt.from, tt.over, self)
			hook.Env = append(os.Environ(), "TIMENS_TEST_ROLE=inject", fmt.Sprintf("TIMENS_TEST_PID=%d", v.Process.Pid))
			out, err := hook.CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: %s, want %s", err, out, tt.want)
			}
			if !tt.killed {
				before := clocks(t)
				got := v.finish(t)
				checkSeen(t, got, Offsets{}, before, clocks(t))
				return
			}
			v.in.Close() // it ends by itself, if it was not killed
			var exit *exec.ExitError
			if err := v.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("the process ended with %v", err)
			}
		})
	}
}
