package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Watch is what a process has seen of time, and those before it that it goes on from:
// enough to tell whether a checkpoint, a restore or a migration kept its clocks going.
type Watch struct {
	Samples int64 `json:"samples"`
	// First and Last are the first and the latest readings.
	First Moment `json:"first"`
	Last  Moment `json:"last"`
	// Backward counts readings of CLOCK_MONOTONIC or CLOCK_BOOTTIME below an earlier one.
	Backward int64 `json:"backward"`
	// Disagreed counts readings where the vDSO and the system call were apart.
	Disagreed int64 `json:"disagreed"`
	// Steps are where the process stood still for long, or a clock went backward, the
	// latest ones.
	Steps  []Step  `json:"steps"`
	Timers []Timer `json:"timers"` // Fired is 0 for one that has not fired
}

// Moment is what the clocks read at one moment, in nanoseconds.
type Moment struct {
	Monotonic int64 `json:"monotonic"`
	Boottime  int64 `json:"boottime"`
	Realtime  int64 `json:"realtime"`
}

// Step is two readings in a row.
type Step struct {
	Before Moment `json:"before"`
	After  Moment `json:"after"`
}

const (
	watchEvery = 10 * time.Millisecond
	// longStep is what makes two readings in a row a Step.
	longStep = 200 * time.Millisecond
	// quick is how long it takes to read a Moment, and maxTook how long it may.
	quick    = 100 * time.Microsecond
	maxTook  = 5 * time.Millisecond
	maxSteps = 100
)

// watcher is a Watch that goes on.
type watcher struct {
	sync.Mutex // of Timers
	Watch
	gettime vdso
}

// watch reads the clocks all the time, with timers armed for after from now, until
// SIGTERM or SIGINT. Then and at SIGHUP it writes what it has seen to a file of this name,
// which is there as a whole or not at all; nothing is open at other times, so that what
// restores the process elsewhere needs no file for it. Where the file is there at the
// start, it goes on from that. It writes a Report to w at once.
func watch(w io.Writer, name string, after time.Duration) error {
	stop, tell := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	signal.Notify(tell, unix.SIGHUP)
	gettime, err := findVDSO()
	if err != nil {
		return err
	}
	s := &watcher{gettime: gettime}
	if err := s.begin(name); err != nil {
		return err
	}
	s.arm(after)
	r, err := Read()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(w).Encode(r); err != nil {
		return err
	}
	for {
		if err := s.sample(); err != nil {
			return err
		}
		select {
		case <-stop:
			return s.write(name)
		case <-tell:
			if err := s.write(name); err != nil {
				return err
			}
		case <-time.After(watchEvery):
		}
	}
}

// begin goes on from what was seen before, or begins.
func (s *watcher) begin(name string) error {
	text, err := os.ReadFile(name)
	if err == nil {
		if err := json.Unmarshal(text, &s.Watch); err != nil {
			return fmt.Errorf("what was seen before, %s: %w", name, err)
		}
		return s.sample()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.First, err = s.moment()
	s.Last = s.First
	return err
}

func (s *watcher) sample() error {
	m, err := s.moment()
	if err != nil {
		return err
	}
	s.Samples++
	back := m.Monotonic < s.Last.Monotonic || m.Boottime < s.Last.Boottime
	if back {
		s.Backward++
	}
	long := max(m.Realtime-s.Last.Realtime, m.Monotonic-s.Last.Monotonic, m.Boottime-s.Last.Boottime)
	if back || long >= int64(longStep) {
		s.Steps = append(s.Steps, Step{s.Last, m})
		if len(s.Steps) > maxSteps {
			s.Steps = s.Steps[1:]
		}
	}
	s.Last = m
	return nil
}

// moment reads all clocks at about the same time: the quickest of some attempts counts, and
// none in which the process was frozen.
func (s *watcher) moment() (best Moment, err error) {
	least := int64(maxTook)
	for try := 0; try < sampleTries || best == (Moment{}); try++ {
		var m Moment
		var real0, real1, mono, boot int64
		for _, r := range []struct {
			to   *int64
			read func(int32) (int64, error)
			id   int32
		}{
			{&real0, now, unix.CLOCK_REALTIME},
			{&m.Monotonic, s.gettime.now, unix.CLOCK_MONOTONIC}, {&mono, now, unix.CLOCK_MONOTONIC},
			{&m.Boottime, s.gettime.now, unix.CLOCK_BOOTTIME}, {&boot, now, unix.CLOCK_BOOTTIME},
			{&real1, now, unix.CLOCK_REALTIME},
		} {
			if *r.to, err = r.read(r.id); err != nil {
				return m, err
			}
		}
		took := real1 - real0
		if took < 0 || took >= least {
			continue
		}
		apart := func(vdso, raw int64) bool { return vdso > raw || raw-vdso > took }
		if apart(m.Monotonic, mono) || apart(m.Boottime, boot) {
			s.Disagreed++
		}
		m.Realtime = real0 + took/2
		best, least = m, took
		if took < int64(quick) {
			break
		}
	}
	return best, nil
}

// arm starts all timers, and fills in what became of them.
func (s *watcher) arm(after time.Duration) {
	timers, done := startTimers(after)
	s.Timers = timers
	go func() {
		for o := range done {
			s.Lock()
			o.fill(s.Timers)
			s.Unlock()
		}
	}()
}

func (s *watcher) write(name string) error {
	s.Lock()
	text, err := json.Marshal(s.Watch)
	s.Unlock()
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("telling what was seen: %w", err)
	}
	return os.Rename(name+".new", name)
}
