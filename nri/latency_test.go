package nri

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLateWriter has all messages written, in order, whoever is slow.
func TestLateWriter(t *testing.T) {
	var got, want bytes.Buffer
	read, write := io.Pipe()
	read1 := make(chan struct{})
	go func() {
		defer close(read1)
		time.Sleep(10 * time.Millisecond)
		io.Copy(&got, read)
	}()
	l := newLateWriter(write)
	line := []byte("line")
	for i := range 3 * maxLate {
		line = fmt.Appendf(line[:0], "line %d\n", i)
		want.Write(line)
		if n, err := l.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	l.Close()
	write.Close()
	<-read1
	if got.String() != want.String() {
		t.Errorf("got %d bytes, want %d", got.Len(), want.Len())
	}
}

// TestKeepProcessor asks the kernel.
func TestKeepProcessor(t *testing.T) {
	if err := keepProcessor(); err != nil {
		t.Fatal(err)
	}
	a, err := unix.SchedGetAttr(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if a.Policy != unix.SCHED_NORMAL || a.Runtime != uint64(slice) && a.Runtime != 0 { // before 6.12
		t.Errorf("policy %d, slice %d ns", a.Policy, a.Runtime)
	}
	if mayNice(t) && a.Nice > nice {
		t.Errorf("nice %d", a.Nice)
	}
}

func mayNice(t *testing.T) bool {
	t.Helper()
	var caps [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &caps[0]); err != nil {
		t.Fatal(err)
	}
	return caps[0].Effective&(1<<unix.CAP_SYS_NICE) != 0
}

// TestUrgently asks the kernel before, meanwhile and afterwards.
func TestUrgently(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	// With RT_GROUP_SCHED a cgroup may give real-time tasks no time.
	may := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0) == nil
	if err := unix.SchedSetAttr(0, before, 0); err != nil {
		t.Fatal(err)
	}
	done := urgently()
	meanwhile, err := unix.SchedGetAttr(0, 0)
	inherited := make(chan uint32)
	go func() { // on another thread
		a, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			a = meanwhile
		}
		inherited <- a.Policy
	}()
	if p := <-inherited; p != unix.SCHED_NORMAL {
		t.Errorf("another thread has policy %d", p)
	}
	done()
	after, err2 := unix.SchedGetAttr(0, 0)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if *after != *before {
		t.Errorf("%+v, and afterwards %+v", *before, *after)
	}
	urgent := meanwhile.Policy == unix.SCHED_FIFO && meanwhile.Priority == 1
	if want := may && leavesTime(); urgent != want || !want && *meanwhile != *before {
		t.Errorf("real-time may be had: %v, and meanwhile %+v", want, *meanwhile)
	}
}
