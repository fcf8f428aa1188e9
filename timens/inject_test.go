package timens

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/internal/testenv"
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
		waitForCall(t, v.Process.Pid, unix.SYS_READ)
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

// A process with one thread is in its namespace at once, on every kernel, and
// needs no exec for it. Nor does it lose a signal that stops it.
func TestInjectEnters(t *testing.T) {
	requireRoot(t)
	p := startSleep(t)
	want := Offsets{offset(t, "+1d"), offset(t, "+2d")}
	if err := Inject(p, want); err != nil {
		t.Fatal(err)
	}
	checkInside(t, p, want)

	p = startSleep(t)
	onTracerThread(func() {
		tr, err := seize(p)
		if err != nil {
			t.Error(err)
			return
		}
		err = tr.begin()
		unix.Kill(p.PID(), unix.SIGSTOP)
		if err := errors.Join(err, tr.shift(p, want, true), tr.end(), p.resend(tr.signal)); err != nil {
			t.Error(err)
		}
	})
	checkInside(t, p, want)
	for range 100 {
		if text, err := p.read("status"); err != nil {
			t.Fatal(err)
		} else if s, _ := statusLine(text, "State"); strings.HasPrefix(s, "T") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("SIGSTOP was lost")
}

// startSleep starts a process with one thread and waits until it sleeps.
func startSleep(t *testing.T) *Process {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitForCall(t, cmd.Process.Pid, unix.SYS_CLOCK_NANOSLEEP)
	return open(t, cmd.Process.Pid)
}

func open(t *testing.T, pid int) *Process {
	t.Helper()
	p, err := OpenProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// checkInside wants the process to be in a namespace with these offsets.
func checkInside(t *testing.T, p *Process, want Offsets) {
	t.Helper()
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

// What cannot be finished is killed, and its parent can tell: here a shell, whose
// child lacks the right to make a namespace.
func TestInjectKillsWhatItChanged(t *testing.T) {
	requireRoot(t)
	if help, _ := exec.Command("setpriv", "--help").CombinedOutput(); !strings.Contains(string(help), "--reuid") {
		testenv.Lacks(t, "setpriv", "none of util-linux is here")
	}
	cmd := exec.Command("sh", "-c", `setpriv --reuid 65534 --clear-groups sleep 60 & echo $!; wait $!; echo "ended $?"`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	r := bufio.NewReader(out)
	var pid int
	if _, err := fmt.Fscanln(r, &pid); err != nil {
		t.Fatal(err)
	}
	waitForCall(t, pid, unix.SYS_CLOCK_NANOSLEEP)
	err = Inject(open(t, pid), Offsets{})
	if want := fmt.Sprintf("process %d: unshare(CLONE_NEWTIME): operation not permitted (it needs CAP_SYS_ADMIN in its user namespace, and no seccomp filter against unshare)", pid); errText(err) != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if line, err := r.ReadString('\n'); line != "ended 137\n" {
		t.Errorf("the parent said %q, %v", line, err)
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
		if s, err := p.Status(); s.Tracer != unix.Gettid() && s.Tracer != os.Getpid() || err != nil {
			t.Errorf("%+v, %v", s, err)
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

// The inits of real runtimes are in integration/.
func TestCheckWaitingInit(t *testing.T) {
	requireRoot(t)
	apart := &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	other := startVictim(t, "read", apart).Process.Pid
	shared := startVictim(t, "read", nil).Process.Pid
	forked := startForked(t, os.Args[0], os.Args[1:]...)
	adopted := startForked(t, "/bin/sh", append([]string{"-c", `exec 3<&0; "$0" "$@" <&3 >&2 & echo $!; wait`}, os.Args...)...)
	const alone = "; its clocks are left alone"
	const unknown = ", which is not the init of a runtime that started this hook" + alone
	for name, tt := range map[string]struct {
		pid  int
		id   string
		want string // "" when it is accepted
	}{
		"the runtime":                   {os.Getpid(), "c", "it shares this hook's mount namespace" + alone},
		"without mounts of its own":     {shared, "c", "it shares this hook's mount namespace" + alone},
		"another program":               {other, "c", `it runs "/proc/self/exe" (exe)` + unknown},
		"a fork of an ancestor":         {forked, os.Args[1], ""},
		"one for another container":     {forked, "c", unknown},
		"the same program, not our kin": {adopted, os.Args[1], unknown},
	} {
		// The hook is a child of the runtime, which is this test.
		hook := exec.Command("/proc/self/exe")
		hook.Env = append(os.Environ(), "TIMENS_TEST_ROLE=check", fmt.Sprintf("TIMENS_TEST_PID=%d", tt.pid), "TIMENS_TEST_ID="+tt.id)
		out, err := hook.CombinedOutput()
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v, %s", name, err, out)
			}
			continue
		}
		start := fmt.Sprintf("process %d is no container init that waits for this hook: ", tt.pid)
		if err == nil || !strings.HasPrefix(string(out), start) || !strings.HasSuffix(string(out), tt.want+"\n") {
			t.Errorf("%s: got %s\nwant %s…%s", name, out, start, tt.want)
		}
	}
}

// startForked starts a process that runs this program with these arguments, in a
// mount namespace of its own, and returns its PID: its own, or what it prints.
func startForked(t *testing.T, program string, args ...string) int {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TIMENS_TEST_ROLE=read")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	if program == os.Args[0] {
		cmd.Path = "/proc/self/exe"
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(-cmd.Process.Pid, unix.SIGKILL); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
		return pid
	}
	return cmd.Process.Pid
}

func TestAncestorIsGone(t *testing.T) {
	if argv, err := (Ancestor{PID: 1<<22 - 1}).Argv(); argv != nil || err != nil {
		t.Errorf("%q, %v", argv, err)
	}
}
