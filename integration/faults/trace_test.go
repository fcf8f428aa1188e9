package faults

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is a system call that a traced process is about to make.
type call struct {
	nr   uint64
	args [6]uint64
	pid  int
	main bool // by the main thread
}

func (c call) String() string {
	if name := names[c.nr]; name != "" {
		return name
	}
	return fmt.Sprintf("system call %d", c.nr)
}

// fault is what is done to a call. The zero value leaves it alone.
type fault struct {
	kill   bool
	errno  unix.Errno    // it is not made, and fails with this
	short  bool          // its third argument, a length, is halved
	before func(pid int) // called while the process stands still
	pause  time.Duration // for which it does
}

func (f fault) none() bool {
	return !f.kill && f.errno == 0 && !f.short && f.before == nil && f.pause == 0
}

func (f fault) String() string {
	switch {
	case f.kill:
		return "SIGKILL"
	case f.errno != 0:
		return unix.ErrnoName(f.errno)
	case f.short:
		return "a short count"
	}
	return "an event"
}

// gateScript waits until somebody traces it, and becomes the program then: the child of
// a runtime that is traced is still its child, with nobody in between.
const gateScript = `echo $$ >"$0/pid" && read -r go <"$0/go" && exec "$@"`

// gate is where a process waits for its tracer.
type gate string

func newGate(dir string) (gate, error) {
	return gate(dir), errors.Join(unix.Mkfifo(filepath.Join(dir, "pid"), 0o600), unix.Mkfifo(filepath.Join(dir, "go"), 0o600))
}

// argv is the command line of a program behind the gate.
func (g gate) argv(program string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", gateScript, string(g), program}, args...)
}

// grandchild is argv for a program that this process itself starts. With its tracer in
// the same process, who waits for a child's end would be told of its stops instead.
func (g gate) grandchild(program string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", `"$@"; exit $?`, "sh"}, g.argv(program, args...)...)
}

// trace follows the process at a gate from the exec of its program to its end, or to
// the exec of another program in its place.
type trace struct {
	decide func(call) fault // asked before each call
	armed  atomic.Bool      // else nobody is asked

	pid     int
	hit     *call         // the last one that got a fault
	results map[int]int64 // to be set at the end of a thread's call
	done    chan error
	pipe    *os.File
	once    sync.Once
}

// follow starts to wait for a process.
func (g gate) follow(decide func(call) fault) (*trace, error) {
	// Opened for both directions a FIFO never ends, and nobody waits for the other side.
	pipe, err := os.OpenFile(filepath.Join(string(g), "pid"), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	reply, err := os.OpenFile(filepath.Join(string(g), "go"), os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	x := &trace{decide: decide, done: make(chan error, 1), pipe: pipe, results: map[int]int64{}}
	x.armed.Store(true)
	tracers <- func() {
		defer reply.Close()
		x.done <- x.run(bufio.NewReader(pipe), reply)
	}
	return x, nil
}

// tracers are threads that do nothing but trace. A tracer waits for all children of its
// thread, and any other thread may have started some.
var tracers = make(chan func())

// startTracers must be called before any process is started.
func startTracers() {
	for range 16 {
		go func() {
			runtime.LockOSThread()
			for f := range tracers {
				f()
			}
		}()
	}
}

// end is for when the process must have ended. No process has come where the pipe is
// all that is waited for.
func (x *trace) end() error {
	x.once.Do(func() { x.pipe.Close() })
	select {
	case err := <-x.done:
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		return err
	case <-time.After(limit):
		return fmt.Errorf("process %d has not ended after %v", x.pid, limit)
	}
}

// run is the tracer.
func (x *trace) run(from *bufio.Reader, reply *os.File) error {
	line, err := from.ReadString('\n')
	if err != nil {
		return err
	}
	if x.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		return err
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC
	if err := ptrace(unix.PTRACE_SEIZE, x.pid, 0, options); err != nil {
		return fmt.Errorf("seizing process %d: %w", x.pid, err)
	}
	if _, err := reply.WriteString("\n"); err != nil {
		return err
	}
	for execs := 0; ; {
		var ws unix.WaitStatus
		// Of this thread only: others of this process wait for children of their own.
		tid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECHILD:
			return nil
		case err != nil:
			return os.NewSyscallError("wait4", err)
		case !ws.Stopped():
			continue
		}
		request, sig := unix.PTRACE_CONT, uintptr(0)
		if execs > 0 {
			request = unix.PTRACE_SYSCALL
		}
		switch event := int(ws >> 16); {
		case ws.StopSignal() == unix.SIGTRAP|0x80:
			if x.syscall(tid) {
				continue // it was killed
			}
		case event == unix.PTRACE_EVENT_EXEC:
			if execs++; execs == 2 {
				return ignoreGone(ptrace(unix.PTRACE_DETACH, tid, 0, 0))
			}
			request = unix.PTRACE_SYSCALL
		case event == unix.PTRACE_EVENT_STOP && ws.StopSignal() != unix.SIGTRAP:
			request = unix.PTRACE_LISTEN // a group-stop, which goes on
		case event == 0:
			sig = uintptr(ws.StopSignal())
		}
		if err := ignoreGone(ptrace(request, tid, 0, sig)); err != nil {
			return err
		}
	}
}

// syscall is called at the entry of a call and at its end, and reports whether the
// process was killed.
func (x *trace) syscall(tid int) (killed bool) {
	// struct ptrace_syscall_info of linux/ptrace.h, with the part for an entry.
	var info struct {
		op     uint8
		_      [3]uint8
		arch   uint32
		ip, sp uint64
		nr     uint64
		args   [6]uint64
	}
	if ptrace(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info))) != nil {
		return false
	}
	if info.op != unix.PTRACE_SYSCALL_INFO_ENTRY {
		if v, ok := x.results[tid]; ok {
			delete(x.results, tid)
			_ = setResult(tid, v) // else it is gone
		}
		return false
	}
	if !x.armed.Load() {
		return false
	}
	c := call{info.nr, info.args, x.pid, tid == x.pid}
	f := x.decide(c)
	if f.none() {
		return false
	}
	x.hit = &c
	if f.before != nil {
		f.before(x.pid)
	}
	time.Sleep(f.pause)
	switch {
	case f.kill:
		_ = unix.Kill(x.pid, unix.SIGKILL)
		return true
	case f.errno != 0:
		// close(2) closes, whatever it says.
		if c.nr == unix.SYS_CLOSE || skipCall(tid) == nil {
			x.results[tid] = -int64(f.errno)
		}
	case f.short:
		_ = setLength(tid, info.args[2]/2)
	}
	return false
}

func ptrace(request, pid int, addr, data uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, data, 0, 0); errno != 0 {
		return fmt.Errorf("ptrace(%#x) of %d: %w", request, pid, errno)
	}
	return nil
}

// ignoreGone passes over a thread that was killed while it was stopped.
func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
