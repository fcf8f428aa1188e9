package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Daemon is a program that runs in a machine until it is stopped.
type Daemon struct {
	m     *Machine
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// Start starts a program that stays. What it writes is shown if the test fails.
func (m *Machine) Start(args ...string) *Daemon {
	m.t.Helper()
	log, err := os.CreateTemp(m.dir, "daemon-")
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	d := &Daemon{m: m, log: log.Name(), ended: make(chan struct{})}
	d.cmd = m.Command(context.Background(), args...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		d.cmd.Wait()
		close(d.ended)
	}()
	m.t.Cleanup(func() {
		if m.t.Failed() {
			m.t.Logf("%s wrote:\n%s", strings.Join(args, " "), tail(d.Log()))
		}
	})
	return d
}

// Log is what the daemon has written so far.
func (d *Daemon) Log() string {
	text, err := os.ReadFile(d.log)
	if err != nil {
		d.m.t.Error(err)
	}
	return string(text)
}

func tail(s string) string {
	const most = 16 << 10
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// Stop ends the daemon, as a service manager would: SIGTERM, and SIGKILL for one
// that has not ended in ten seconds.
func (d *Daemon) Stop() {
	d.m.t.Helper()
	d.Signal(unix.SIGTERM)
	select {
	case <-d.ended:
		return
	case <-time.After(10 * time.Second):
	}
	d.Signal(unix.SIGKILL)
	<-d.ended
}

// Signal sends a signal to the daemon itself.
func (d *Daemon) Signal(s unix.Signal) {
	d.m.t.Helper()
	if pid := d.pid(); pid != 0 {
		if err := unix.Kill(pid, s); err != nil && err != unix.ESRCH {
			d.m.t.Errorf("sending %v to %d: %v", s, pid, err)
		}
	}
	// nsenter stops when its child does, and would not see it end (util-linux,
	// sys-utils/nsenter.c, continue_as_child).
	if s != unix.SIGSTOP {
		d.cmd.Process.Signal(unix.SIGCONT) //nolint:errcheck // it may have ended
	}
}

// pid is the daemon's, or 0 when it has ended. nsenter is its parent, and may not
// have come to start it yet.
func (d *Daemon) pid() int {
	entered := strconv.Itoa(d.cmd.Process.Pid)
	for {
		children, err := os.ReadFile(filepath.Join("/proc", entered, "task", entered, "children"))
		if err != nil {
			return 0
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(children))); err == nil {
			return pid
		}
		select {
		case <-d.ended:
			return 0
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Await calls ready until it returns nil, or the daemon has ended, or a minute
// has passed.
func (d *Daemon) Await(ready func() error) {
	d.m.t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = ready(); err == nil {
			return
		}
		select {
		case <-d.ended:
			d.m.t.Fatalf("it has ended by itself: %v", err)
		default:
		}
	}
	d.m.t.Fatal(fmt.Errorf("not ready after a minute: %w", err))
}
