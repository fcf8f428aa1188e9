package probe

import (
	"fmt"
	"os"
	"os/signal"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Timers tells when timers armed for one absolute moment fired.
type Timers struct {
	After  int64   `json:"after"` // from arming to the deadline, nanoseconds
	Timers []Timer `json:"timers"`
}

// Timer is one way to wait for a moment of one clock.
type Timer struct {
	Kind     string `json:"kind"`     // "timerfd", "clock_nanosleep" or "timer_create"
	Clock    string `json:"clock"`    // "monotonic" or "boottime"
	Deadline int64  `json:"deadline"` // what the clock should read
	Fired    int64  `json:"fired"`    // what it read
	Elapsed  int64  `json:"elapsed"`  // since the timer was armed, by CLOCK_REALTIME
	Error    string `json:"error,omitempty"`
}

type waiter struct {
	kind string
	wait func(clock int32, deadline int64) error
}

// outcome is what became of one of the timers.
type outcome struct {
	i   int
	t   Timer
	err error
}

func (o outcome) fill(timers []Timer) {
	t := &timers[o.i]
	t.Deadline, t.Fired, t.Elapsed = o.t.Deadline, o.t.Fired, o.t.Elapsed
	if o.err != nil {
		t.Error = o.err.Error()
	}
}

// WaitTimers arms timers for the moment that is after from now, on both clocks,
// and waits for all. A timer that fires a second late or never is an error.
func WaitTimers(after time.Duration) (Timers, error) {
	timers, done := startTimers(after)
	result := Timers{After: after.Nanoseconds(), Timers: timers}
	limit := time.After(after + time.Second)
	for range timers {
		select {
		case o := <-done:
			if t := timers[o.i]; o.err != nil {
				return result, fmt.Errorf("%s on the %s clock: %w", t.Kind, t.Clock, o.err)
			}
			o.fill(timers)
		case <-limit:
			return result, fmt.Errorf("a timer did not fire within a second of its deadline; so far: %+v", timers)
		}
	}
	return result, nil
}

// startTimers arms every kind of timer on both clocks, and tells which they are, and of
// each when it has fired.
func startTimers(after time.Duration) (timers []Timer, done <-chan outcome) {
	clocks := []struct {
		name string
		id   int32
		sig  unix.Signal
	}{{"monotonic", unix.CLOCK_MONOTONIC, unix.SIGUSR1}, {"boottime", unix.CLOCK_BOOTTIME, unix.SIGUSR2}}
	waiters := []waiter{{"timerfd", waitTimerfd}, {"clock_nanosleep", waitNanosleep}, {kind: "timer_create"}}
	fired := make(chan outcome, len(clocks)*len(waiters))
	for _, c := range clocks {
		for _, w := range waiters {
			if w.wait == nil {
				w.wait = func(clock int32, deadline int64) error { return waitPOSIX(clock, deadline, c.sig) }
			}
			i := len(timers)
			timers = append(timers, Timer{Kind: w.kind, Clock: c.name})
			go func() {
				t, err := waitOne(w, c.id, after)
				fired <- outcome{i, t, err}
			}()
		}
	}
	return timers, fired
}

func waitOne(w waiter, clock int32, after time.Duration) (t Timer, err error) {
	armed, err := now(unix.CLOCK_REALTIME)
	if err != nil {
		return t, err
	}
	if t.Deadline, err = now(clock); err != nil {
		return t, err
	}
	t.Deadline += after.Nanoseconds()
	if err := w.wait(clock, t.Deadline); err != nil {
		return t, err
	}
	if t.Fired, err = now(clock); err != nil {
		return t, err
	}
	t.Elapsed, err = now(unix.CLOCK_REALTIME)
	t.Elapsed -= armed
	return t, err
}

func waitTimerfd(clock int32, deadline int64) error {
	fd, err := unix.TimerfdCreate(int(clock), unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	defer unix.Close(fd)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(deadline)}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	var expirations [8]byte
	for {
		if _, err := unix.Read(fd, expirations[:]); err != unix.EINTR {
			return err
		}
	}
}

func waitNanosleep(clock int32, deadline int64) error {
	ts := unix.NsecToTimespec(deadline)
	for {
		if err := unix.ClockNanosleep(clock, unix.TIMER_ABSTIME, &ts, nil); err != unix.EINTR {
			return err
		}
	}
}

// sigevent is struct sigevent of sigevent(7) for SIGEV_SIGNAL, in its full size.
type sigevent struct {
	value  uint64
	signo  int32
	notify int32
	_      [48]byte
}

func waitPOSIX(clock int32, deadline int64, sig unix.Signal) error {
	fired := make(chan os.Signal, 1)
	signal.Notify(fired, sig)
	defer signal.Stop(fired)
	event := sigevent{signo: int32(sig)} // notify 0 is SIGEV_SIGNAL
	var id int32
	if _, _, errno := unix.Syscall(unix.SYS_TIMER_CREATE, uintptr(clock), uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&id))); errno != 0 {
		return fmt.Errorf("timer_create: %w", errno)
	}
	defer func() { _, _, _ = unix.Syscall(unix.SYS_TIMER_DELETE, uintptr(id), 0, 0) }()
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(deadline)}
	if _, _, errno := unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(id), unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("timer_settime: %w", errno)
	}
	<-fired
	return nil
}
