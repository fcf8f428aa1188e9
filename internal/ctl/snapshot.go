package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"oci-timens/config"
	"oci-timens/internal/saved"
	"oci-timens/spec"
	"oci-timens/timens"
)

func snapshotCommand() *cli.Command {
	return &cli.Command{
		Name:      "snapshot",
		Usage:     "take a snapshot of a container's clocks, for another to go on from",
		ArgsUsage: "PID|CONTAINER|saved:NAME",
		Description: "CONTAINER is the id that the low-level runtime knows, or its beginning. saved:NAME is what\n" +
			"io.timens.save or --save has kept; in Kubernetes saved:NAMESPACE/NAME.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.BoolFlag{Name: "annotation", Usage: "print it as an annotation, KEY=VALUE, and nothing else"},
			&cli.StringFlag{Name: "save", Usage: "keep it under `NAME` on this host, as io.timens.save does, until the container is seen to end"},
			&cli.DurationFlag{Name: "every", Usage: "with --save, until the container ends: have the snapshot never be older than `TIME`"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			what, err := oneArgument(c, "a PID or a container")
			if err != nil {
				return err
			}
			out, errw := outs(c)
			if c.IsSet("every") || c.IsSet("save") {
				return keep(ctx, what, c.String("save"), c.Duration("every"), c.IsSet("every"), errw)
			}
			s, err := takeSnapshot(what, errw)
			switch {
			case err != nil:
				return err
			case c.Bool("annotation"):
				fmt.Fprintf(out, "%s=%v\n", spec.KeyResume, s.Snapshot)
				return nil
			case c.String("output") == "json":
				return writeJSON(out, s.json())
			}
			s.write(out)
			return nil
		},
	}
}

// taken is a snapshot, and of whom.
type taken struct {
	timens.Snapshot
	of string
}

func takeSnapshot(what string, errw io.Writer) (t taken, err error) {
	if name, ok := strings.CutPrefix(what, "saved:"); ok {
		t.of = what
		t.Snapshot, err = lookup(name, errw)
		return t, err
	}
	v, err := inspectKnown(what)
	if err != nil {
		return t, err
	}
	host, err := timens.Host{}.WithWall()
	if err != nil {
		return t, err
	}
	t.of = v.title()
	t.Snapshot, err = timens.TakeSnapshot(v.Offsets.value(), host)
	return t, err
}

// inspectKnown is inspect for who needs the offsets.
func inspectKnown(what string) (*view, error) {
	v, err := inspect(what)
	if err != nil {
		return nil, err
	}
	if v.Offsets == nil {
		return nil, fmt.Errorf("%s: its offsets cannot be read, for nobody in its time namespace would pass it on to children: name another process of the container", what)
	}
	return v, nil
}

func (v *view) title() string {
	if v.Container != "" {
		return fmt.Sprintf("%s[%d] of container %s", v.Name, v.PID, printable(v.Container))
	}
	return fmt.Sprintf("%s[%d]", v.Name, v.PID)
}

func lookup(name string, errw io.Writer) (s timens.Snapshot, err error) {
	if name, err = spec.ParseSavedName(name); err != nil {
		return s, err
	}
	cfg, err := config.Load()
	if err != nil {
		return s, err
	}
	host, err := timens.Host{}.WithWall()
	if err != nil {
		return s, err
	}
	s, note, err := saved.In(cfg).Lookup(name, host)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("nothing has been saved as %q in %s", name, saved.In(cfg).Where())
	}
	if note != "" {
		fmt.Fprintf(errw, "%s: %s\n", name, note)
	}
	return s, err
}

func (t taken) json() any {
	return struct {
		Monotonic    time.Duration `json:"monotonic"`
		Boottime     time.Duration `json:"boottime"`
		Realtime     time.Duration `json:"realtime"`
		HostBoottime time.Duration `json:"hostBoottime"`
		BootID       string        `json:"bootId"`
		Interval     time.Duration `json:"interval,omitempty"`
		Annotations  any           `json:"annotations"`
	}{t.Clocks.Monotonic, t.Clocks.Boottime, t.Wall.Realtime, t.Wall.Boottime, t.Wall.BootID, t.Interval,
		map[string]string{spec.KeyResume: t.String()}}
}

// write prints it for people.
func (t taken) write(out io.Writer) {
	exact := func(d time.Duration) string { return timens.OffsetOf(d).String()[1:] }
	fmt.Fprintf(out, "snapshot of %s\n\n", t.of)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CLOCK\tREADS")
	for _, c := range timens.AllClocks() {
		fmt.Fprintf(w, "%s\t%s\n", c.Const(), exact(t.Clocks.Get(c)))
	}
	fmt.Fprintf(w, "CLOCK_REALTIME\t%s\n", time.Unix(0, int64(t.Wall.Realtime)).UTC().Format(time.RFC3339Nano))
	w.Flush()
	fmt.Fprintf(out, "\ntaken when the host was up for %s, boot %s\n", exact(t.Wall.Boottime), t.Wall.BootID)
	if t.Interval > 0 {
		fmt.Fprintf(out, "the container may have run for %s since\n", exact(t.Interval))
	}
	fmt.Fprintf(out, "\nto go on from there: %s=%v\n", spec.KeyResume, t.Snapshot)
}
