package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// kept is a folder of snapshots in which one container has left its clocks.
type kept struct {
	record []byte
	last   probe.Report // of that container
}

const savedName = "db"

// keeping makes a container whose clocks are kept in a folder, and go on from there.
// disturbed names the stage whose hook waits at the gate; "" is none.
func (r lowLevel) keeping(t *testing.T, dir string, shimmed bool, disturbed string) (*container, error) {
	c, err := r.container(t)
	if err != nil {
		return nil, err
	}
	c.toml = fmt.Sprintf("saved-dir = %q\n", dir)
	c.ask("io.timens.save", savedName, "io.timens.resume", "saved-or-new:"+savedName,
		"io.timens.monotonic", "+1h", "io.timens.boottime", "+400d")
	if c.shimmed = shimmed; !shimmed {
		c.hook("createRuntime", disturbed == "createRuntime")
		c.hook("poststop", disturbed == "poststop")
	}
	return c, c.write()
}

// keep runs the first container.
func (r lowLevel) keep(t *testing.T) (k kept, err error) {
	dir := filepath.Join(base, "first-"+r.key)
	c, err := r.keeping(t, dir, false, "")
	if err != nil {
		return k, err
	}
	result, err := c.run(false)
	if err != nil {
		return k, err
	}
	want := machine.Clocks{Monotonic: time.Hour, Boottime: 400 * 24 * time.Hour}
	if o, err := judge(t, result, want); err != nil || o != started {
		return k, fmt.Errorf("%v, %w", result, err)
	}
	k.last = machine.Report(t, result.stdout)
	k.record, err = os.ReadFile(filepath.Join(dir, savedName))
	return k, errors.Join(err, c.gone(false), c.remove(), os.RemoveAll(dir))
}

// goesOn checks that clocks have gone on from one report to the next: CLOCK_MONOTONIC
// has not gone backward, nor faster than time, and CLOCK_BOOTTIME just as time.
func goesOn(t *testing.T, from, to probe.Report) error {
	t.Helper()
	was, is := machine.Ahead(t, from), machine.Ahead(t, to)
	const exact = 2 * time.Millisecond
	if to.Monotonic.VDSO < from.Monotonic.VDSO || is.Monotonic > was.Monotonic+exact || (is.Boottime-was.Boottime).Abs() > exact {
		return fmt.Errorf("THE CLOCKS HAVE NOT GONE ON: ahead by %+v, then by %+v, CLOCK_MONOTONIC read %v, then %v",
			was, is, time.Duration(from.Monotonic.VDSO), time.Duration(to.Monotonic.VDSO))
	}
	return nil
}

// continued judges a container that goes on from a report.
func continued(t *testing.T, result result, from *probe.Report) (outcome, error) {
	if result.stdout == "" {
		return judge(t, result, machine.Clocks{})
	}
	to := machine.Report(t, result.stdout)
	err := goesOn(t, *from, to)
	*from = to
	return started, err
}

// keepTrial disturbs a program that reads or writes what is kept, and starts one more
// container after it.
func (r lowLevel) keepTrial(t *testing.T, k kept, shimmed bool, stage string) func(decide func(call) fault) (outcome, *trace, error) {
	return func(decide func(call) fault) (outcome, *trace, error) {
		c, err := r.keeping(t, "", shimmed, stage)
		if err != nil {
			return refused, nil, err
		}
		dir := filepath.Join(c.dir, "saved")
		c.toml = fmt.Sprintf("saved-dir = %q\n", dir)
		err = errors.Join(c.write(), os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, savedName), k.record, 0o600))
		if err != nil {
			return refused, nil, err
		}
		result, x, err := c.attempt(decide)
		if err != nil {
			return refused, x, err
		}
		last := k.last
		var o outcome
		if shimmed && result.killed() {
			o = refused
		} else if o, err = continued(t, result, &last); err != nil {
			return o, x, err
		}
		if o != started && stage == "poststop" {
			return o, x, fmt.Errorf("did not start: %v", result)
		}
		next, err := r.keeping(t, dir, false, "")
		if err != nil {
			return o, x, err
		}
		again, err := next.run(false)
		if err == nil {
			var then outcome
			if then, err = continued(t, again, &last); err == nil && then != started {
				err = fmt.Errorf("the next did not start: %v", again)
			}
		}
		if names := listing(dir); err == nil && !slices.Equal(names, []string{savedName}) {
			err = fmt.Errorf("left are %q", names)
		}
		return o, x, errors.Join(err, c.gone(true), next.gone(false), c.remove(), next.remove())
	}
}

// TestSaved disturbs whoever reads or writes the clocks that are kept under a name: they
// never go backward.
func TestSaved(t *testing.T) {
	for _, r := range lowLevels(t) {
		k, err := r.keep(t)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []struct {
			name, stage string
			shimmed     bool
		}{{"createRuntime", "createRuntime", false}, {"poststop", "poststop", false}, {"the shim", "", true}} {
			trial := r.keepTrial(t, k, p.shimmed, p.stage)
			name := r.key + ": clocks that are kept: " + p.name
			sweep{name: name + " is killed", counts: everyCall, faults: kills, trial: trial}.run(t)
			sweep{name: name + "'s files fail", counts: fileCalls, faults: errnos, trial: trial}.run(t)
			sweep{name: name + "'s writes are short", counts: writes, faults: shorts, trial: trial}.run(t)
		}
	}
}
