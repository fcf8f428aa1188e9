package demo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"oci-timens/timens"
)

// rounds is how often the probe is asked. Each answer is checked; the quickest
// one, whose difference is known best, is shown.
const rounds = 5

// pipes connect us with the probe.
type pipes struct {
	question *os.File    // to the probe's standard input
	answer   *os.File    // from its standard output
	inner    [3]*os.File // the ends that the container gets
}

// newPipes makes them; the standard error of container, runtime and hook goes to
// a new file.
func newPipes(stderr string) (*pipes, error) {
	e, err := os.OpenFile(stderr, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		e.Close()
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		e.Close()
		inR.Close()
		inW.Close()
		return nil, err
	}
	return &pipes{question: inW, answer: outR, inner: [3]*os.File{inR, outW, e}}, nil
}

func (p *pipes) closeInner() {
	for _, f := range p.inner {
		f.Close()
	}
}

// close may be called more than once, and from another goroutine.
func (p *pipes) close() {
	p.closeInner()
	p.question.Close()
	p.answer.Close()
}

// sample is one answer, and what the host's clocks read before and after.
type sample struct {
	before, after timens.Clocks
	report
}

// ask asks the probe n times, after once for which it may have to be loaded.
func (p *pipes) ask(n int) ([]sample, error) {
	lines := bufio.NewReader(p.answer)
	var list []sample
	for range n + 1 {
		var s sample
		var err error
		if s.before, err = timens.ReadClocks(); err != nil {
			return nil, err
		}
		if _, err := p.question.WriteString("\n"); err != nil {
			return nil, fmt.Errorf("the container ended before it told its clocks: %w", err)
		}
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("the container told no clocks: %w", err)
		}
		if s.after, err = timens.ReadClocks(); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(line, &s.report); err != nil {
			return nil, fmt.Errorf("the container answered %q: %w", line, err)
		}
		list = append(list, s)
	}
	return list[1:], nil
}

// readings returns every reading of a clock in the container.
func (s sample) readings(c timens.Clock) []time.Duration {
	if c == timens.Boottime {
		return []time.Duration{s.Boottime}
	}
	return []time.Duration{s.Monotonic, s.MonotonicVDSO}
}

// compare makes a row for each clock. What was asked must lie between the
// differences to what the host read before and after, for every sample: that is
// exact to the time that an answer takes, some ten microseconds.
func (s scenario) compare(started timens.Clocks, samples []sample) []row {
	var rows []row
	for _, c := range timens.AllClocks() {
		r := row{clock: c.Const(), asked: s.get(c).String(), ok: true}
		best := samples[0]
		for _, m := range samples {
			if m.after.Get(c)-m.before.Get(c) < best.after.Get(c)-best.before.Get(c) {
				best = m
			}
			r.ok = r.ok && asAsked(s.get(c), c, started, m)
		}
		host := (best.before.Get(c) + best.after.Get(c)) / 2
		inside := best.readings(c)[0]
		r.host, r.container, r.difference = host, inside, inside-host
		rows = append(rows, r)
	}
	return rows
}

// clockTick is how exactly the hook knows when the container's init was started,
// rounded down.
const clockTick = 10 * time.Millisecond

// asAsked reports whether one sample is what the setting of clock c asks for in
// a container that was started when the host's clocks read started.
func asAsked(want timens.Setting, c timens.Clock, started timens.Clocks, m sample) bool {
	v, err := want.Value().Duration()
	if err != nil {
		return false
	}
	low, high := m.before.Get(c)+v, m.after.Get(c)+v
	if want.Reads() { // since a moment between the start and now
		low, high = v, v+m.after.Get(c)-started.Get(c)+clockTick
	}
	for _, got := range m.readings(c) {
		if got < low || got > high {
			return false
		}
	}
	// sysinfo(2) reports the same clock in whole seconds.
	return c != timens.Boottime ||
		time.Duration(m.Uptime)*time.Second >= m.Boottime.Truncate(time.Second) &&
			time.Duration(m.Uptime-2)*time.Second <= m.Boottime
}
