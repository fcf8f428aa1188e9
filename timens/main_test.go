package timens

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"oci-timens/internal/testenv"
)

// The test binary is its own victim: started again with one of these as
// TIMENS_TEST_ROLE it is the process whose clocks are shifted.
var roles = map[string]func(){
	"clocks": reportClocks,
	"start":  reportStart,
	"read":   waitInRead,
	"spin":   waitInUserMode,
	"calls":  waitBetweenCalls,
	"check":  checkAsHook,

	"wait": wait, "child": haveChild, "shifted child": haveShiftedChild, "thread": haveThread,
}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv("TIMENS_TEST_ROLE")]; role != nil {
		role()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// seen is what a victim says of itself.
type seen struct {
	Clocks  Clocks
	Own     Offsets
	Entered bool
}

func reportClocks() {
	c, err := ReadClocks()
	if err != nil {
		fatal(err)
	}
	own, err := ReadOffsets(os.Getpid())
	if err != nil {
		fatal(err)
	}
	ns, err := ReadNamespaces(os.Getpid())
	if err != nil {
		fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(seen{c, own, ns.Time == ns.ForChildren})
}

// checkAsHook asks CheckWaitingInit, as a child of the runtime.
func checkAsHook() {
	pid, err := strconv.Atoi(os.Getenv("TIMENS_TEST_PID"))
	if err != nil {
		fatal(err)
	}
	p, err := OpenProcess(pid)
	if err != nil {
		fatal(err)
	}
	s, err := p.Status()
	if err != nil {
		fatal(err)
	}
	if err := p.CheckWaitingInit(os.Getenv("TIMENS_TEST_ID"), s); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}

// execReport is what a container's init does: become another program.
func execReport() {
	os.Setenv("TIMENS_TEST_ROLE", "clocks")
	fatal(syscall.Exec("/proc/self/exe", []string{"clocks"}, os.Environ()))
}

// waitInRead blocks in read(2) on the main thread until a byte comes.
func waitInRead() {
	fmt.Println("ready")
	b := make([]byte, 1)
	if n, err := syscall.Read(0, b); n != 1 || err != nil { // no retry: an EINTR is a failure
		fatal(fmt.Errorf("read: %d, %v", n, err))
	}
	execReport()
}

// told tells when a byte has come, read by another thread.
func told() *atomic.Bool {
	var done atomic.Bool
	go func() {
		os.Stdin.Read(make([]byte, 1))
		done.Store(true)
	}()
	fmt.Println("ready")
	return &done
}

// waitInUserMode computes, and checks that its registers were its own all along.
func waitInUserMode() {
	var a, b uint64 = 1, 1
	for done := told(); !done.Load(); {
		for range 1 << 16 {
			a, b = a*6364136223846793005+1442695040888963407, b*6364136223846793005+1442695040888963407
		}
		if a != b {
			fatal(fmt.Errorf("registers changed: %d, %d", a, b))
		}
	}
	execReport()
}

// waitBetweenCalls makes short system calls all the time.
func waitBetweenCalls() {
	pid := os.Getpid()
	for done := told(); !done.Load(); {
		if got, _, _ := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0); int(got) != pid {
			fatal(fmt.Errorf("getpid: %d", got))
		}
	}
	execReport()
}

func init() {
	if os.Getenv("TIMENS_TEST_ROLE") != "" {
		runtime.LockOSThread() // the main thread, which is the one that execs
	}
}

// requireRoot skips what cannot be done without privilege; TIMENS_REQUIRE makes
// that a failure.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	testenv.Lacks(t, "root", "this is another user")
}

// requireExecSwitch skips where the victims, Go programs with many threads, cannot
// be moved: TestEnter is for those kernels.
func requireExecSwitch(t *testing.T) {
	t.Helper()
	if err := HaveExecSwitch(); errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func offset(t *testing.T, s string) Offset {
	t.Helper()
	o, err := ParseOffset(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// checkSeen compares what a victim read between two readings of the host's clocks.
func checkSeen(t *testing.T, got seen, want Offsets, before, after Clocks) {
	t.Helper()
	if got.Own != want || !got.Entered {
		t.Errorf("in a namespace with %v (entered: %v), want %v", got.Own, got.Entered, want)
	}
	for _, c := range AllClocks() {
		d, err := want.Get(c).Duration()
		if err != nil {
			t.Fatal(err)
		}
		if v := got.Clocks.Get(c) - d; v < before.Get(c) || v > after.Get(c) {
			t.Errorf("%v read %v: not between %v and %v on the host", c, v, before.Get(c), after.Get(c))
		}
	}
}

func clocks(t *testing.T) Clocks {
	t.Helper()
	c, err := ReadClocks()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// waitForCall waits until a process is blocked in the system call nr.
func waitForCall(t *testing.T, pid, nr int) {
	t.Helper()
	for range 500 {
		if s, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid)); strings.HasPrefix(string(s), fmt.Sprint(nr, " ")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d does not reach system call %d", pid, nr)
}

// countFDs counts our handles on time namespaces and processes.
func countFDs(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && (strings.HasPrefix(to, "time") || strings.Contains(to, "pidfd")) {
			n++
		}
	}
	return n
}
