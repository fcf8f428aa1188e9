package faults

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	every    = flag.Int("every", 1, "let every Nth call go wrong, beginning anywhere")
	runtimes = flag.String("runtimes", "runc-1.5.2,crun-1.8.1", "low-level runtimes, of runc-1.5.2, runc-1.1.5 and crun-1.8.1")
)

// limit is how long a single thing may take that is not expected to take any time.
const limit = time.Minute

// outcome is what became of a container.
type outcome int

const (
	refused outcome = iota
	started         // with the clocks that it asks for
	unasked         // nothing has started, and nothing needed to
)

// sweep lets the same thing go wrong again and again, each time at another call of one
// program.
type sweep struct {
	name   string
	counts func(call) bool // the calls to go through
	faults []fault
	// trial does it once. decide is for the program's trace, which trial returns.
	trial func(decide func(call) fault) (outcome, *trace, error)
	alone bool // one trial at a time, and fewer of them unless all are wanted
}

// tally counts outcomes, for the summary.
type tally struct{ calls, trials, refused, started, unreached int }

var (
	summaryLock sync.Mutex
	summary     []string
)

func (s sweep) run(t *testing.T) {
	t.Helper()
	var n tally
	_, x, err := s.trial(func(c call) fault {
		if s.counts(c) {
			n.calls++
		}
		return fault{}
	})
	if err != nil || x == nil {
		t.Fatalf("%s: without a fault: %v", s.name, err)
	}
	if n.calls == 0 {
		t.Fatalf("%s: makes no such calls: it is not what was traced", s.name)
	}
	type job struct {
		fault fault
		at    int
	}
	jobs := make(chan job)
	var lock sync.Mutex
	var wait sync.WaitGroup
	workers := 2
	if s.alone {
		workers = 1
	}
	for range workers {
		wait.Go(func() {
			for j := range jobs {
				o, x, err := s.trial(at(j.at, s.counts, j.fault))
				where := "which was not reached"
				if x != nil && x.hit != nil {
					where = x.hit.String()
				}
				if err != nil {
					t.Errorf("%s: %v at call %d, %s: %v", s.name, j.fault, j.at, where, err)
				}
				lock.Lock()
				n.add(o, x)
				lock.Unlock()
			}
		})
	}
	step := *every
	if s.alone && step > 1 {
		step *= 3
	}
	from := 1 + int(time.Now().UnixNano())%step
	for _, f := range s.faults {
		for k := from; k <= n.calls && !tooMany(t); k += step {
			jobs <- job{f, k}
		}
	}
	close(jobs)
	wait.Wait()
	note(t, "%s: %d calls, %d faults: %d refused, %d started as asked, %d not reached", s.name, n.calls, n.trials, n.refused, n.started, n.unreached)
}

func (n *tally) add(o outcome, x *trace) {
	n.trials++
	switch {
	case x == nil || x.hit == nil:
		n.unreached++
	case o == refused:
		n.refused++
	case o == started:
		n.started++
	}
}

// tooMany ends a sweep that has failed as a whole.
func tooMany(t *testing.T) bool { return t.Failed() && !testing.Verbose() }

// at has the kth of the calls go wrong.
func at(k int, counts func(call) bool, f fault) func(call) fault {
	n := 0
	return func(c call) fault {
		if !counts(c) {
			return fault{}
		}
		if n++; n != k {
			return fault{}
		}
		return f
	}
}

// note logs a line, which is also part of the summary in the end.
func note(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	summaryLock.Lock()
	defer summaryLock.Unlock()
	summary = append(summary, line)
}

func printSummary() {
	slices.Sort(summary)
	for _, line := range summary {
		fmt.Println(line)
	}
}
