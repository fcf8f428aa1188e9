package nri

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// An engine makes no other container while it waits for an answer, and on a node that
// starts a hundred pods at once there is always somebody who wants the processor as well.
// An answer takes a third of a millisecond of it; what made one in a hundred take ten and
// more was to lose the processor in between, at the end of a slice or to whoever reads
// the log, or to wait for it after each look at a file.

// slice is longer than an answer takes.
const slice = 3 * time.Millisecond

// nice is taken where it may be: who has it is given the processor first.
const nice = -10

// keepProcessor has the scheduler let this program, and the threads that it starts later,
// run for a whole slice once it is its turn, and has that turn come soon.
//
// The slice takes no privilege, and comes at a price: a longer one has a later turn (EEVDF;
// sched_attr.sched_runtime is the slice of normal tasks since Linux 6.12,
// kernel/sched/syscalls.c). Before that it changes nothing. The priority takes CAP_SYS_NICE,
// which an engine has that starts its plugins itself, and counts among the tasks of one
// cgroup. The pod of a DaemonSet has a cgroup and goes without: its share is what it requests.
func keepProcessor() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := keepFor(tid); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

func keepFor(tid int) error {
	a, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return os.NewSyscallError("sched_getattr", err)
	}
	if a.Policy != unix.SCHED_NORMAL {
		return nil // whoever has chosen another one knows why
	}
	a.Runtime = uint64(slice)
	own := a.Nice
	a.Nice = min(own, nice)
	err = unix.SchedSetAttr(tid, a, 0)
	if errors.Is(err, unix.EPERM) {
		a.Nice = own
		err = unix.SchedSetAttr(tid, a, 0)
	}
	return os.NewSyscallError("sched_setattr", err)
}

// urgently has this goroutine go before all others on the machine that have no real-time
// priority, until done is called by the same one. It is for work that is short, and that
// many others wait for. It takes CAP_SYS_NICE, and a kernel or cgroup that gives real-time
// tasks any time, but not all (sched(7)); without, it changes nothing.
func urgently() (done func()) {
	if !leavesTime() {
		return func() {}
	}
	runtime.LockOSThread()
	own, err := unix.SchedGetAttr(0, 0)
	if err == nil && own.Policy != unix.SCHED_NORMAL {
		err = unix.EPERM
	}
	if err == nil {
		// The lowest of these priorities; and no thread inherits it.
		err = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	}
	if err != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		if err := unix.SchedSetAttr(0, own, 0); err == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with this goroutine
	}
}

// leavesTime reports whether the kernel keeps some time for normal tasks, 5 % by default. At
// some places Go's runtime waits for another thread by trying again and again (casgstatus),
// and that one may be waiting for the same processor.
var leavesTime = sync.OnceValue(func() bool {
	text, err := os.ReadFile("/proc/sys/kernel/sched_rt_runtime_us")
	return err == nil && !bytes.HasPrefix(text, []byte("-"))
})

// lateWriter writes what it is given a little later, in the same order. Who reads the
// other end of a pipe gets the processor at once.
type lateWriter struct {
	w     io.Writer
	lines chan []byte
	done  sync.WaitGroup
}

// maxLate is how many messages may wait; who has more waits as well.
const maxLate = 256

func newLateWriter(w io.Writer) *lateWriter {
	l := &lateWriter{w: w, lines: make(chan []byte, maxLate)}
	l.done.Go(func() {
		for line := range l.lines {
			_, _ = l.w.Write(line) // whom could it be told?
		}
	})
	return l
}

// Write keeps a copy of a message.
func (l *lateWriter) Write(line []byte) (int, error) {
	l.lines <- bytes.Clone(line)
	return len(line), nil
}

// Close returns when all has been written. Nothing may be written afterwards.
func (l *lateWriter) Close() error {
	close(l.lines)
	l.done.Wait()
	return nil
}
