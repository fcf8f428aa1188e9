package timens

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// victim is a process that waits in one of the roles, as a container's init does.
type victim struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startVictim(t *testing.T, role string, attr *syscall.SysProcAttr) *victim {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "TIMENS_TEST_ROLE="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	v := &victim{cmd, in, bufio.NewReader(out)}
	if line, err := v.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("victim said %q, %v", line, err)
	}
	return v
}

// finish lets the victim exec and returns what it read of its clocks.
func (v *victim) finish(t *testing.T) seen {
	t.Helper()
	if _, err := v.in.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	var s seen
	if err := json.NewDecoder(v.out).Decode(&s); err != nil {
		t.Fatal(err)
	}
	if err := v.Wait(); err != nil {
		t.Fatal(err)
	}
	return s
}

func inject(t *testing.T, pid int, o Offsets) error {
	t.Helper()
	p, err := OpenProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	return Inject(p, o)
}

func TestInject(t *testing.T) {
	requireRoot(t)
	requireExecSwitch(t)
	host, err := ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	toZero, _ := OffsetOf(host.Clocks.Boottime).Neg()
	userns := &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 1}},
	}
	for name, tt := range map[string]struct {
		role string
		attr *syscall.SysProcAttr
		want Offsets
	}{
		"blocked in a system call":   {role: "read", want: Offsets{offset(t, "+36h"), offset(t, "+49d17h2m47.295000001s")}},
		"in user mode":               {role: "spin", want: Offsets{offset(t, "+36h"), Offset{}}},
		"between system calls":       {role: "calls", want: Offsets{Offset{}, offset(t, "+248d")}},
		"below the host":             {role: "read", want: Offsets{offset(t, "-0.5"), toZero}},
		"in a user namespace":        {role: "read", attr: userns, want: Offsets{offset(t, "+1h"), offset(t, "+2h")}},
		"as far as the kernel goes":  {role: "read", want: Offsets{offset(t, "+50000d"), offset(t, "+50000d")}},
		"with the clocks it has now": {role: "read"},
	} {
		t.Run(name, func(t *testing.T) {
			v := startVictim(t, tt.role, tt.attr)
			before := clocks(t)
			if err := inject(t, v.Process.Pid, tt.want); err != nil {
				t.Fatal(err)
			}
			got := v.finish(t)
			checkSeen(t, got, tt.want, before, clocks(t))
		})
	}
}

// A stop can come at any instruction; the process must never notice.
func TestInjectManyTimes(t *testing.T) {
	requireRoot(t)
	requireExecSwitch(t)
	for _, role := range []string{"read", "spin", "calls"} {
		v := startVictim(t, role, nil)
		before := clocks(t)
		var want Offsets
		for i := range 40 {
			want = Offsets{OffsetOf(time.Duration(i) * time.Hour), OffsetOf(time.Duration(i) * time.Minute)}
			if err := inject(t, v.Process.Pid, want); err != nil {
				t.Fatal(role, i, err)
			}
		}
		checkSeen(t, v.finish(t), want, before, clocks(t))
	}
}

func TestInjectKeepsRegisters(t *testing.T) {
	requireRoot(t)
	requireExecSwitch(t)
	v := startVictim(t, "read", nil)
	waitForCall(t, v.Process.Pid, unix.SYS_READ)
	p, err := OpenProcess(v.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	look := func() (regs unix.PtraceRegs, mask uint64) {
		onTracerThread(func() {
			tr, err := seize(p)
			if err != nil {
				t.Error(err)
				return
			}
			if err := tr.begin(); err != nil {
				t.Error(err)
			}
			regs, mask = tr.regs, tr.mask
			if err := tr.end(); err != nil {
				t.Error(err)
			}
		})
		return regs, mask
	}
	regs, mask := look()
	if err := Inject(p, Offsets{Boottime: offset(t, "+1d")}); err != nil {
		t.Fatal(err)
	}
	if r, m := look(); r != regs || m != mask {
		t.Errorf("registers %+v, signals %x\nbefore %+v, %x", r, m, regs, mask)
	}
	v.finish(t)
}

func onTracerThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		onSpareThread(f)
	}()
	<-done
}

// Where exec does not switch, a process enters by itself, and only if it has one
// thread. This kernel may be newer; the path is the same.
func TestEnter(t *testing.T) {
	requireRoot(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(sleep, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	waitForCall(t, cmd.Process.Pid, unix.SYS_CLOCK_NANOSLEEP)
	p, err := OpenProcess(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	want := Offsets{offset(t, "+1d"), offset(t, "+2d")}
	onTracerThread(func() {
		tr, err := seize(p)
		if err != nil {
			t.Error(err)
			return
		}
		if err := errors.Join(tr.begin(), tr.shift(p, want, true), tr.end()); err != nil {
			t.Error(err)
		}
	})
	ns, err := p.Namespaces()
	if err != nil {
		t.Fatal(err)
	}
	held, err := p.Offsets()
	if err != nil {
		t.Fatal(err)
	}
	if ns.Time != ns.ForChildren || held != want {
		t.Errorf("%+v with %v, want to be in one with %v", ns, held, want)
	}
}

func TestInjectRefuses(t *testing.T) {
	requireRoot(t)
	v := startVictim(t, "read", nil)
	host, err := ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	err = inject(t, v.Process.Pid, Offsets{Boottime: offset(t, "-40000d")})
	want := "offset -40000d would set CLOCK_BOOTTIME to -"
	var r *RangeError
	if !errors.As(err, &r) || r.Clock != Boottime || !strings.HasPrefix(err.Error(), want) ||
		!strings.HasSuffix(err.Error(), `below zero: on this host it reads `+Brief(r.Host)+`; use "=0" for a clock that starts at zero`) {
		t.Errorf("got %v\nwant %s…", err, want)
	}
	err = inject(t, v.Process.Pid, Offsets{Monotonic: offset(t, "+60000d")})
	if want := "the kernel allows no clock beyond 53375d23h53m38s (146 years)"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v\nwant …%s", err, want)
	}
	// Untouched: it still has the host's clocks.
	before := host.Clocks
	checkSeen(t, v.finish(t), Offsets{}, before, clocks(t))
}

func TestInjectIntoTracedProcess(t *testing.T) {
	requireRoot(t)
	requireExecSwitch(t)
	v := startVictim(t, "read", nil)
	p, err := OpenProcess(v.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	onTracerThread(func() {
		if err := ptrace(unix.PTRACE_SEIZE, v.Process.Pid, 0, 0, "PTRACE_SEIZE"); err != nil {
			t.Error(err)
			return
		}
		if pid, comm, err := p.Tracer(); pid == 0 || comm == "" || err != nil {
			t.Errorf("tracer %d %q, %v", pid, comm, err)
		}
		errs := make(chan error)
		go func() { errs <- Inject(p, Offsets{}) }()
		if err := <-errs; !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "no other tracer") {
			t.Errorf("got %v", err)
		}
	})
	v.finish(t)
}

func TestProcessIsGone(t *testing.T) {
	v := startVictim(t, "read", nil)
	p, err := OpenProcess(v.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	v.Process.Kill()
	v.Wait()
	if err := Inject(p, Offsets{}); err == nil {
		t.Error("injected into a dead process")
	}
	if _, err := p.Offsets(); err == nil {
		t.Error("read offsets of a dead process")
	}
	if err := p.alive(); err == nil {
		t.Error("a dead process is alive")
	}
}

// The inits that are accepted are those of real runtimes, in integration/.
func TestCheckWaitingInit(t *testing.T) {
	requireRoot(t)
	child := startVictim(t, "read", nil)
	apart := startVictim(t, "read", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
	const alone = "; its clocks are left alone"
	for name, tt := range map[string]struct {
		pid  int
		want string
	}{
		"ourselves":                         {os.Getpid(), "it shares this hook's mount namespace" + alone},
		"without a mount namespace":         {child.Process.Pid, "it shares this hook's mount namespace" + alone},
		"not started by one that we are of": {apart.Process.Pid, `it runs "/proc/self/exe" (exe), which is not the init of a runtime that started this hook` + alone},
	} {
		p, err := OpenProcess(tt.pid)
		if err != nil {
			t.Fatal(err)
		}
		err = p.CheckWaitingInit()
		if want := fmt.Sprintf("process %d is no container init that waits for this hook: %s", tt.pid, tt.want); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
		p.Close()
	}
}
