package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/internal/testenv"
)

// TestHostile has the hook meet inits that do what none does.
func TestHostile(t *testing.T) {
	for kind, tt := range map[string]struct {
		starts bool   // with its clocks
		text   string // else
		either bool   // as it comes
		times  int
	}{
		"waits":                        {starts: true, times: 1},
		"forks":                        {starts: true, times: 10},
		"has threads that come and go": {starts: true, times: 3},
		"gets signals":                 {starts: true, times: 10},
		"stopped":                      {starts: true, times: 5},
		"pretends to have unshared":    {text: "timens_offsets: permission denied", times: 1},
		"may not unshare":              {text: "unshare(CLONE_NEWTIME): operation not permitted", times: 1},
		"traps unshare":                {text: "timens_offsets: permission denied", times: 1},
		"dies of unshare":              {text: "timens_offsets: permission denied", times: 1},
		"never returns":                {text: "did not stop, or not return from a system call, within 30s, and was killed: ", times: 1},
		"unmaps its vDSO":              {either: true, times: 30},
		"runs something else":          {times: 30},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for range tt.times {
				f, err := newFake(t, kind)
				if err != nil {
					t.Fatal(err)
				}
				r, _, err := f.run(func(call) fault { return fault{} })
				if err != nil {
					t.Fatal(err)
				}
				o, err := judge(t, r, asked)
				if err != nil || !tt.either && (o == started) != tt.starts || strings.Contains(r.stderr, "THE HOOK SAID YES") ||
					!tt.starts && !strings.Contains(r.stderr, tt.text) || strings.Contains(r.stderr, "panic: ") && !tt.either {
					t.Errorf("%v, %v, want started: %v, %q", r, err, tt.starts, tt.text)
				}
			}
		})
	}
}

// TestReuse has the process that a state names end at each call of the hook, and another
// one, which has nothing to do with containers, get its PID. It is left alone.
func TestReuse(t *testing.T) {
	const last = "/proc/sys/kernel/ns_last_pid"
	if _, err := os.Stat(last); err != nil {
		testenv.Lacks(t, "ns_last_pid", err)
	}
	reused := 0
	// Sleeps, and looks like an init of another program.
	fifo := filepath.Join(t.TempDir(), "init")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, decoy := range map[string]func() *exec.Cmd{
		"a program": func() *exec.Cmd { return command([]string{"/bin/sleep", "1000"}) },
		"another init": func() *exec.Cmd {
			cmd := command([]string{"/bin/cat", "init"})
			cmd.Dir = filepath.Dir(fifo)
			return cmd
		},
	} {
		trial := func(decide func(call) fault) (o outcome, x *trace, err error) {
			f, err := newFake(t, "waits")
			if err != nil {
				return refused, nil, err
			}
			var other *exec.Cmd
			r, x, err := f.run(func(c call) fault {
				if decide(c).kill {
					return fault{before: func(hook int) {
						done := make(chan bool)
						go func() { // not as a child of this thread, which waits for all of its own
							defer close(done)
							other = replaceInit(t, hook, decoy)
						}()
						<-done
					}}
				}
				return fault{}
			})
			if err != nil {
				return refused, x, err
			}
			if other != nil {
				reused++
				err = errors.Join(leftAlone(other.Process.Pid), other.Process.Kill())
				_ = other.Wait() // it was killed
			}
			if x.hit == nil {
				o, e := judge(t, r, asked)
				return o, x, errors.Join(err, e)
			}
			if !strings.Contains(r.stderr, "the hook: exit status 1") && !strings.Contains(r.stderr, "init: ") && !strings.Contains(r.stderr, "signal: killed") || r.stdout != "" {
				err = errors.Join(err, fmt.Errorf("without its init: %v", r))
			}
			return refused, x, err
		}
		sweep{name: "PID reused by " + name, counts: everyCall, faults: kills, trial: trial, alone: true}.run(t)
	}
	note(t, "PID reused: %d times, else the number was not free yet", reused)
	if reused == 0 {
		t.Error("no PID was reused")
	}
}

// replaceInit ends the init that a hook is about to change, and starts a process that
// gets its PID, if that becomes free: not while the hook traces it.
func replaceInit(t *testing.T, hook int, decoy func() *exec.Cmd) *exec.Cmd {
	pid, err := initOf(hook)
	if err != nil {
		t.Error(err)
		return nil
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	free := within(200*time.Millisecond, func() error {
		if unix.Kill(pid, 0) != unix.ESRCH {
			return errors.New("not free")
		}
		return nil
	})
	if free != nil {
		return nil
	}
	for range 50 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", fmt.Append(nil, pid-1), 0); err != nil {
			t.Error(err)
			return nil
		}
		cmd := decoy()
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return nil
		}
		if cmd.Process.Pid == pid {
			return cmd
		}
		cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	t.Errorf("PID %d could not be had", pid)
	return nil
}

// leftAlone is an error unless a process sleeps with the clocks of the machine, and
// nobody traces it.
func leftAlone(pid int) error {
	own, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		return err
	}
	for _, link := range []string{"time", "time_for_children"} {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, link)); to != own {
			return fmt.Errorf("the process that got the PID is in %q, %w", to, err)
		}
	}
	if status := string(procFile(pid, "status")); !strings.Contains(status, "TracerPid:\t0\n") {
		return fmt.Errorf("the process that got the PID is traced: %s", status)
	}
	return within(5*time.Second, func() error { return inState(pid, "S") })
}
