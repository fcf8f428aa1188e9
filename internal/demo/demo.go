// Package demo does the product's main job in front of the user: it starts real
// containers whose annotations ask for clocks of their own, reads the clocks
// inside, and compares. The embedded libcontainer with our createRuntime hook
// needs nothing but the program itself; runc and crun follow through our shim.
//
// The containers are the demo's own: no image, no network, no engine, and nothing
// left behind. How hook and shim reach their decision does not belong here, nor
// do tests: those have real runtimes in more versions than a user's machine has.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"oci-timens/timens"
)

// Runtime is a low-level runtime to be shown through the shim.
type Runtime struct {
	Path, Name, Version string
}

// Options say what to show.
type Options struct {
	Hook     string    // timens-hook; "" leaves the embedded runtime out
	Shim     string    // timens-runc; "" leaves Runtimes out
	Runtimes []Runtime // in the order of the output
	Out      io.Writer
	Err      io.Writer
}

// ErrWrong is returned when a container did not start, or not with the clocks
// that its annotations ask for. What is wrong stands in the table.
var ErrWrong = errors.New("the demo failed: see the rows marked ✗")

// startLimit is how long one container may take from start to end; it takes a
// tenth of a second where nothing is wrong.
const startLimit = 30 * time.Second

// runner starts containers with one runtime.
type runner interface {
	title() string
	// needs returns the createRuntime hook that config.json has to name, and the
	// low-level runtime that the configuration has to name; "" for none.
	needs() (hook, runtime string)
	// start starts the bundle in dir as container id, with these files as
	// standard input, output and error, and returns at once or when the program
	// runs. When ctx ends the container is killed.
	start(ctx context.Context, dir, id string, stdio [3]*os.File) (container, error)
}

// container is a started one.
type container interface {
	// wait returns when the program has ended.
	wait() error
	// remove leaves nothing of the container, whatever state it is in.
	remove()
}

// show runs every scenario with every runtime; dir is an empty directory.
func show(ctx context.Context, o Options, dir, id string) error {
	runners, err := runners(o, dir)
	if err != nil {
		return err
	}
	root, err := makeRootfs(dir)
	if err != nil {
		return err
	}
	clocks, err := timens.ReadClocks()
	if err != nil {
		return err
	}
	total, wrong := 0, 0
	for i, r := range runners {
		var rows []row
		for j, s := range scenarios(clocks) {
			c := attempt{
				runner: r, scenario: s, rootfs: root,
				id:     fmt.Sprintf("%s-%d-%d", id, i, j),
				bundle: filepath.Join(dir, fmt.Sprintf("bundle-%d-%d", i, j)),
			}
			rows = append(rows, c.run(ctx)...)
			removeCgroups(c.id)
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted: %w", context.Cause(ctx))
			}
		}
		writeTable(o.Out, r.title(), rows)
		for _, r := range rows {
			total++
			if !r.ok {
				wrong++
			}
		}
	}
	if wrong > 0 {
		fmt.Fprintf(o.Out, "%d of %d clocks are not as asked\n", wrong, total)
		return ErrWrong
	}
	fmt.Fprintf(o.Out, "all %d clocks are as asked\n", total)
	return nil
}

// runners returns what can be shown here, and says on o.Err what cannot.
func runners(o Options, dir string) ([]runner, error) {
	var list []runner
	e, err := newEmbedded(o.Hook, filepath.Join(dir, "libcontainer"))
	if err != nil {
		fmt.Fprintf(o.Err, "the embedded runtime is left out: %v\n", err)
	} else {
		list = append(list, e)
	}
	if o.Shim == "" && len(o.Runtimes) > 0 {
		fmt.Fprintf(o.Err, "runc and crun are left out: timens-runc was not found beside this program\n")
	} else {
		for _, r := range o.Runtimes {
			list = append(list, &shimmed{runtime: r, shim: o.Shim, root: filepath.Join(dir, "state-"+filepath.Base(r.Path))})
		}
	}
	if len(list) == 0 {
		return nil, errors.New("no runtime is left to show: \"make build\" makes all that the embedded one needs")
	}
	return list, nil
}

// attempt is one container.
type attempt struct {
	runner
	scenario
	id, bundle, rootfs string
}

// run starts the container, compares its clocks and removes it.
func (a *attempt) run(ctx context.Context) []row {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("it took longer than %v", startLimit))
	defer cancel()
	rows, err := a.observe(ctx)
	if err == nil {
		return rows
	}
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return a.failed(err)
}

func (a *attempt) observe(ctx context.Context) ([]row, error) {
	if err := a.writeBundle(a.needs()); err != nil {
		return nil, err
	}
	pipes, err := newPipes(filepath.Join(a.bundle, "stderr"))
	if err != nil {
		return nil, err
	}
	defer pipes.close()
	// A wait for an answer that will not come ends with the time limit.
	defer context.AfterFunc(ctx, pipes.close)()
	started, err := timens.ReadClocks()
	if err != nil {
		return nil, err
	}
	c, err := a.start(ctx, a.bundle, a.id, pipes.inner)
	pipes.closeInner()
	if err != nil {
		return nil, pipes.explain(err)
	}
	defer c.remove()
	samples, err := pipes.ask(rounds)
	pipes.question.Close() // the probe ends with its input
	if werr := c.wait(); werr != nil {
		err = errors.Join(err, werr)
	}
	if err != nil {
		return nil, pipes.explain(err)
	}
	return a.compare(started, samples), nil
}

// explain adds what runtime and hook printed.
func (p *pipes) explain(err error) error {
	text, rerr := os.ReadFile(p.inner[2].Name())
	said := strings.TrimSpace(string(text))
	if rerr != nil || said == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}
