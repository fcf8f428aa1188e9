package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/internal/probe"
)

// life is what becomes of the containers of one start.
type life struct {
	s       *soak
	ctx     context.Context
	number  int
	rand    *rand.Rand
	runtime lowLevel
	shim    bool // or by hook
	made    []*container
}

// kinds of lives, with how many of a hundred each are.
var kinds = []struct {
	name  string
	share int
	live  func(*life) error
}{
	{"run", 34, (*life).foreground},
	{"create, start, exec, delete", 22, (*life).detached},
	{"run --detach, exec, delete --force", 10, (*life).forced},
	{"refused", 10, (*life).refused},
	{"runtime killed", 8, (*life).runtimeKilled},
	{"killed before start", 5, (*life).neverStarted},
	{"clocks kept", 7, (*life).kept},
	{"pod of three", 4, (*life).pod},
}

// mechanisms are the ways to the clocks.
var mechanisms = []string{"hook", "shim"}

// way is how the containers are started.
func (l *life) way() string {
	by := mechanisms[0]
	if l.shim {
		by = mechanisms[1]
	}
	return by + ", " + l.runtime.name
}

// live draws the way and the kind of the life, lives it, and leaves nothing.
func (l *life) live() (kind string, err error) {
	l.runtime = l.s.runtimes[l.rand.IntN(len(l.s.runtimes))]
	l.shim = l.rand.IntN(2) == 0
	n := l.rand.IntN(100)
	for _, k := range kinds {
		if n -= k.share; n < 0 {
			kind, err = k.name, k.live(l)
			break
		}
	}
	for _, c := range l.made {
		if e := c.end(err != nil); e != nil {
			err = errors.Join(err, fmt.Errorf("%s with %v: %w", c.id, c.asks, e))
		}
	}
	return kind, err
}

// draw is a container that asks for something.
func (l *life) draw(args ...string) (*container, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &up); err != nil {
		return nil, err
	}
	c := l.newContainer(drawAsks(l.rand, time.Duration(up.Nano())), args...)
	return c, c.write()
}

// foreground runs a container, and sometimes another one from the same bundle.
func (l *life) foreground() error {
	c, err := l.draw()
	if err != nil {
		return err
	}
	for range 1 + l.rand.IntN(5)/4 {
		r, err := c.run()
		if err == nil {
			err = c.judge(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run runs the container in the foreground, and returns what it tells.
func (c *container) run() (r probe.Report, err error) {
	if c.before, err = probe.Read(); err != nil {
		return r, err
	}
	out, err := c.must("run", "--bundle", c.bundle(), c.id)
	if err != nil {
		return r, err
	}
	if c.after, err = probe.Read(); err != nil {
		return r, err
	}
	return decode(out)
}

func decode(out string) (r probe.Report, err error) {
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, fmt.Errorf("the probe wrote %q: %w", out, err)
	}
	return r, nil
}

func (c *container) judgeText(out string) error {
	r, err := decode(out)
	if err != nil {
		return err
	}
	return c.judge(r)
}

// start creates and starts a container that goes on, and judges what it tells.
func (c *container) start() error {
	if err := c.create("create"); err != nil {
		return err
	}
	if _, err := c.must("start", c.id); err != nil {
		return err
	}
	return c.judgeReport()
}

// judgeReport judges what the probe tells in a container that goes on.
func (c *container) judgeReport() error {
	r, err := c.report()
	if err == nil {
		c.after, err = probe.Read()
	}
	if err != nil {
		return err
	}
	return c.judge(r)
}

func (l *life) detached() error {
	c, err := l.draw("hold")
	if err == nil {
		err = c.start()
	}
	if err == nil {
		err = c.exec()
	}
	if err == nil {
		err = c.killAndDelete()
	}
	return err
}

// exec judges what a process sees that is run in the container later.
func (c *container) exec() error {
	if !c.runtime.execs || c.rand.IntN(2) == 0 {
		return nil
	}
	out, err := c.must("exec", c.id, "/probe")
	if err == nil {
		c.after, err = probe.Read()
	}
	if err != nil {
		return err
	}
	return c.judgeText(out)
}

func (c *container) killAndDelete() error {
	if _, err := c.must("kill", c.id, "KILL"); err != nil {
		return err
	}
	if err := c.reap(); err != nil {
		return err
	}
	_, err := c.must("delete", c.id)
	return err
}

// forced ends a container that runs by delete --force.
func (l *life) forced() error {
	c, err := l.draw("hold")
	if err != nil {
		return err
	}
	if err := c.create("run", "--detach"); err != nil {
		return err
	}
	if err := errors.Join(c.judgeReport(), c.exec()); err != nil {
		return err
	}
	// crun 1.8.1 deletes, and lets it run; runc 1.1 may leave its cgroups on a busy machine.
	if l.runtime != l.s.runtimes[0] {
		if _, err := c.must("kill", c.id, "KILL"); err != nil {
			return err
		}
	}
	if _, err := c.must("delete", "--force", c.id); err != nil {
		return err
	}
	return c.reap()
}
