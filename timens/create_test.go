package timens

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/internal/testenv"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestCommand(t *testing.T) {
	requireRoot(t)
	// Many at once, from a program whose threads come and go.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			want := Offsets{offset(t, "+"+itoa(i)+"d"), offset(t, "+"+itoa(i)+"h0.000000001s")}
			cmd := Command(want, "/proc/self/exe")
			cmd.Env = append(os.Environ(), "TIMENS_TEST_ROLE=clocks")
			before := clocks(t)
			out, err := cmd.Output()
			if err != nil {
				t.Error(err)
				return
			}
			var got seen
			if err := json.Unmarshal(out, &got); err != nil {
				t.Error(err)
			}
			checkSeen(t, got, want, before, clocks(t))
		})
	}
	wg.Wait()
	if n := countFDs(t); n > 1 { // the runtime keeps none; one may be in flight
		t.Errorf("%d handles left", n)
	}
}

func TestCommandExitAndErrors(t *testing.T) {
	requireRoot(t)
	var exit *exec.ExitError
	if err := Command(Offsets{}, "sh", "-c", "exit 7").Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("got %v, want exit status 7", err)
	}
	if out, err := Command(Offsets{}, "sh", "-c", "echo a; echo b >&2").CombinedOutput(); string(out) != "a\nb\n" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
	if err := Command(Offsets{}, "/nonexistent/program").Run(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	var r *RangeError
	cmd := Command(Offsets{Monotonic: offset(t, "-40000d")}, "true")
	if err := cmd.Run(); !errors.As(err, &r) || cmd.Process != nil {
		t.Errorf("got %v with process %v", err, cmd.Process)
	}
}

func TestCreate(t *testing.T) {
	requireRoot(t)
	want := Offsets{offset(t, "+1d"), offset(t, "-0.25s")}
	ns, err := Create(want)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if ns.Offsets() != want {
		t.Errorf("got %v", ns.Offsets())
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if help, _ := exec.Command("nsenter", "--help").CombinedOutput(); !strings.Contains(string(help), "--time") {
		testenv.Lacks(t, "nsenter", "none here knows time namespaces (util-linux 2.36)")
	}
	cmd := exec.Command("nsenter", "--time=/proc/self/fd/3", exe)
	cmd.Env = append(os.Environ(), "TIMENS_TEST_ROLE=clocks")
	cmd.ExtraFiles = []*os.File{ns.File()}
	cmd.Stderr = os.Stderr
	before := clocks(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got seen
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	checkSeen(t, got, want, before, clocks(t))

	host, err := ReadHost()
	if err != nil || !host.Own.IsZero() {
		t.Errorf("this process is left with %v, %v", host.Own, err)
	}
}

// In mounts of a thread's own, which ends with the test.
func TestPin(t *testing.T) {
	requireRoot(t)
	ns, err := Create(Offsets{Boottime: offset(t, "+1d")})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	path := filepath.Join(t.TempDir(), "time")
	onTracerThread(func() {
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")); err != nil {
			t.Error(err)
			return
		}
		if err := ns.Pin(path); err != nil {
			t.Error(err)
		}
		if err := ns.Pin(path); !errors.Is(err, os.ErrExist) {
			t.Errorf("pinned twice: %v", err)
		}
		if mounts, _ := os.ReadFile("/proc/thread-self/mountinfo"); !strings.Contains(string(mounts), path) {
			t.Error("not mounted")
		}
		if err := Unpin(path); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestProbe(t *testing.T) {
	requireRoot(t)
	s := Probe()
	if s.TimeNamespaces != nil || s.Ptrace != nil {
		t.Errorf("%+v", s)
	}
	major, minor := kernelVersion()
	if new := major > 6 || major == 6 && minor >= 2; new && s.ExecSwitch != nil {
		t.Errorf("exec does not switch, although the kernel is newer than 6.2: %v", s.ExecSwitch)
	} else if !new && s.ExecSwitch != nil && !errors.Is(s.ExecSwitch, ErrNotSupported) {
		t.Error(s.ExecSwitch)
	}
}

func TestReadHost(t *testing.T) {
	before := clocks(t)
	h, err := ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	if h.Own.IsZero() && (h.Clocks.Monotonic < before.Monotonic || h.Clocks.Boottime < before.Boottime) {
		t.Errorf("%+v is before %+v", h, before)
	}
}
