package ctl

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	"oci-timens/internal/engine"
)

func configureCommand() *cli.Command {
	return &cli.Command{
		Name:      "configure",
		Usage:     "set up an engine, so that annotations give its containers their clocks",
		ArgsUsage: strings.Join(engine.Names, "|"),
		Description: "Files of one's own in the directories that the engine reads are preferred; a file that has to\n" +
			"be edited keeps its comments, its layout and what is not understood. A link is followed to the\n" +
			"file itself. What was there before is kept in /var/lib/oci-timens/configure, or with --rootless\n" +
			"in ~/.local/state/oci-timens/configure, and --remove restores it; what was edited since stays.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "mode", Usage: "`MODE`: " + strings.Join(engine.Modes, ", ") + " (default: the best for this engine and machine)"},
			&cli.BoolFlag{Name: "set-default", Usage: "make the shim the engine's default runtime"},
			&cli.BoolFlag{Name: "all-containers", Usage: "also reach containers without annotations, for [defaults] in config.toml"},
			&cli.BoolFlag{Name: "remove", Usage: "restore what was there"},
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would change, as a diff, and change nothing"},
			&cli.BoolFlag{Name: "rootless", Usage: "set up this user's own podman or docker"},
			&cli.StringFlag{Name: "config", Usage: "edit the engine's configuration `FILE` instead of the usual one"},
			&cli.StringFlag{Name: "hook", Usage: "`PATH` of timens-hook (default: the installed one)"},
			&cli.StringFlag{Name: "shim", Usage: "`PATH` of timens-runc (default: the installed one)"},
		},
		Action:        configure,
		ShellComplete: completeEngine,
	}
}

func configure(_ context.Context, c *cli.Command) error {
	name, err := oneArgument(c, "an engine")
	if err != nil {
		return err
	}
	out, errw := outs(c)
	h := engine.ThisHost()
	h.Waiting = func() {
		fmt.Fprintf(errw, "%s: another configure is at work: waiting for it to end\n", c.Root().Name)
	}
	o := engine.Options{
		Engine: name, Mode: c.String("mode"), SetDefault: c.Bool("set-default"), AllContainers: c.Bool("all-containers"),
		Remove: c.Bool("remove"), DryRun: c.Bool("dry-run"), Rootless: c.Bool("rootless"),
		Config: c.String("config"), Hook: c.String("hook"), Shim: c.String("shim"),
	}
	r, err := engine.Configure(h, o)
	if err != nil {
		return fmt.Errorf("configure %s: %w", name, err)
	}
	writeConfigured(out, o, r)
	return nil
}

// writeConfigured prints what was done, or would be.
func writeConfigured(w io.Writer, o engine.Options, r *engine.Result) {
	if o.DryRun {
		for _, c := range r.Changes {
			fmt.Fprint(w, c.Diff())
		}
		w = commented{w} // so that the whole is a patch
	}
	if !o.Remove {
		fmt.Fprintf(w, "%s %s: mode %s: %s\n", r.Engine, r.Version, r.Mode, r.Reason)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	switch {
	case len(r.Changes) == 0 && o.Remove:
		fmt.Fprintf(w, "nothing of ours is there: nothing to remove\n")
	case len(r.Changes) == 0:
		fmt.Fprintf(w, "this is set up already: nothing to change\n")
	case !o.DryRun:
		for _, c := range r.Changes {
			fmt.Fprintf(w, "%sd %s\n", c.Verb(), c.Path)
		}
		fmt.Fprintln(w, r.Restart)
	}
	for _, t := range r.Try {
		fmt.Fprintf(w, "Try: %s\n", t)
	}
}

// commented puts "# " before each line.
type commented struct{ w io.Writer }

func (c commented) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Fprint(c.w, "# ", line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}
