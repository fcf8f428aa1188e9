package faults

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
)

// asking is what containers ask for where it does not matter what.
var asking = []string{"io.timens.monotonic", "+90061.000000042", "io.timens.boottime", "-2.5s"}

var asked = machine.Clocks{Monotonic: 90061*time.Second + 42, Boottime: -2500 * time.Millisecond}

// hooked makes a container that gets its clocks by the hook, which is disturbed.
func (r lowLevel) hooked(t *testing.T) (*container, error) {
	c, err := r.container(t)
	if err != nil {
		return nil, err
	}
	c.hook("createRuntime", true)
	c.ask(asking...)
	return c, c.write()
}

// trial runs a container once with a hook that is disturbed.
func (r lowLevel) trial(t *testing.T, decide func(call) fault) (outcome, *trace, error) {
	c, err := r.hooked(t)
	if err != nil {
		return refused, nil, err
	}
	result, x, err := c.attempt(decide)
	if err != nil {
		return refused, x, err
	}
	o, err := judge(t, result, asked)
	return o, x, errors.Join(err, c.unchanged(), c.gone(false), c.remove())
}

// TestHook disturbs the hook while it sets a container's clocks.
func TestHook(t *testing.T) {
	for _, r := range lowLevels(t) {
		trial := func(decide func(call) fault) (outcome, *trace, error) { return r.trial(t, decide) }
		sweep{name: r.key + ": hook is killed", counts: everyCall, faults: kills, trial: func(decide func(call) fault) (outcome, *trace, error) {
			o, x, err := trial(decide)
			if err == nil && o != refused && x.hit != nil {
				err = errors.New("the runtime went on without the hook")
			}
			return o, x, err
		}}.run(t)
		sweep{name: r.key + ": hook's files fail", counts: fileCalls, faults: errnos, trial: trial}.run(t)
		sweep{name: r.key + ": hook's writes are short", counts: writes, faults: shorts, trial: trial}.run(t)
	}
}

// initOf finds the process that waits for a hook: the other child of the hook's runtime.
func initOf(hook int) (int, error) {
	runtime := parentOf(hook)
	for _, pid := range processes() {
		if pid != hook && parentOf(pid) == runtime && !dead(pid) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no child of process %d waits for hook %d", runtime, hook)
}

// TestInitDies kills the process whose clocks are to be set, at each call of the hook.
func TestInitDies(t *testing.T) {
	for _, r := range lowLevels(t) {
		sweep{name: r.key + ": init dies", counts: everyCall, faults: []fault{{before: func(hook int) {
			pid, err := initOf(hook)
			if err != nil {
				t.Error(err)
				return
			}
			_ = unix.Kill(pid, unix.SIGKILL)
			_ = within(time.Second, func() error {
				if !dead(pid) {
					return errors.New(strconv.Itoa(pid))
				}
				return nil
			})
		}}}, trial: func(decide func(call) fault) (outcome, *trace, error) {
			o, x, err := r.trial(t, decide)
			if err == nil && o != refused && x.hit != nil {
				err = errors.New("a dead init has run its program")
			}
			return o, x, err
		}}.run(t)
	}
}

// TestSlow has the hook stand still at each of its calls, for a container whose clocks
// begin with it, and the runtime take its time at every step.
func TestSlow(t *testing.T) {
	for _, r := range lowLevels(t) {
		c, err := r.container(t)
		if err != nil {
			t.Fatal(err)
		}
		slow := c.dir + "/slow"
		script := fmt.Sprintf("#!/bin/sh\nsleep 0.3\n[ \"$1\" = --version ] || sleep 1\nexec %s \"$@\"\n", r.path)
		if err := os.WriteFile(slow, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, shimmed := range []bool{false, true} {
			c, err := r.container(t)
			if err != nil {
				t.Fatal(err)
			}
			c.shimmed, c.runtime.path = shimmed, slow
			if !shimmed {
				c.hook("createRuntime", true)
			}
			c.ask("io.timens.monotonic", "+1h", "io.timens.boottime", "=0")
			if err := c.write(); err != nil {
				t.Fatal(err)
			}
			before := time.Now()
			result, _, err := c.attempt(func(call) fault { return fault{pause: 5 * time.Millisecond} })
			if err != nil {
				t.Fatal(err)
			}
			report := machine.Report(t, result.stdout)
			ahead := machine.Ahead(t, report)
			ran := time.Since(before)
			if !ahead.Near(machine.Clocks{Monotonic: time.Hour, Boottime: ahead.Boottime}) ||
				report.Boottime.VDSO < 0 || report.Boottime.VDSO > int64(ran) || report.StartTime < 0 {
				t.Errorf("%s: CLOCK_BOOTTIME reads %v after %v at most, monotonic is ahead by %v, started at %d",
					r.key, time.Duration(report.Boottime.VDSO), ran, ahead.Monotonic, report.StartTime)
			}
			if err := errors.Join(c.gone(false), c.remove()); err != nil {
				t.Error(err)
			}
		}
		if err := c.remove(); err != nil {
			t.Error(err)
		}
	}
}
