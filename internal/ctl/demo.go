package ctl

import (
	"context"
	"errors"
	"os"
	"os/signal"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"oci-timens/internal/demo"
	"oci-timens/internal/lowlevel"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "start containers that ask for clocks of their own, and compare what they read",
		Description: "Starts small containers with the embedded libcontainer and our createRuntime hook, and with\n" +
			"every runc and crun in PATH through our shim. Needs root, but no engine, image or network,\n" +
			"and leaves nothing behind. Exit status 1 when any clock is not as asked.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "runtime", Usage: "also the low-level runtime at `PATH`; may be repeated"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			runtimes, err := demoRuntimes(c.StringSlice("runtime"))
			if err != nil {
				return err
			}
			out, errw := outs(c)
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			err = demo.Run(ctx, demo.Options{
				Hook: lowlevel.Companion("timens-hook"), Shim: lowlevel.Companion("timens-runc"), Runtimes: runtimes, Out: out, Err: errw,
			})
			if errors.Is(err, demo.ErrSaid) {
				return exitStatus(1)
			}
			return err
		},
	}
}

// demoRuntimes returns runc and crun, where they are in PATH, and the named ones.
func demoRuntimes(paths []string) ([]demo.Runtime, error) {
	found, errs := findRuntimes([]string{"runc", "crun"})
	for _, path := range paths {
		r, err := identify(path)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	var list []demo.Runtime
	for _, r := range found {
		list = append(list, demo.Runtime(r))
	}
	return list, errors.Join(errs...)
}

// probeCommand is what the demo's containers run.
func probeCommand() *cli.Command {
	return &cli.Command{
		Name: "probe", Hidden: true, Usage: "report the clocks for each line of input",
		Action: func(_ context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return demo.Probe(os.Stdin, c.Root().Writer)
		},
	}
}
