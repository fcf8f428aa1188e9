// Package ctl is the operator's command line, timensctl: what each command reads
// from its arguments, asks of the other packages, and prints.
//
// Decisions do not belong here: what a container's clocks become is decided by
// internal/plan, how a kernel is asked is known to timens, and the demo's
// containers are internal/demo's. Nothing here runs when a container starts.
package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"
)

const name = "timensctl"

// exitStatus ends the program with a status and without a message.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Main runs the command line and returns the exit status: 0, 1 after an error,
// and for "run" what its command says.
func Main(args []string, out, errw io.Writer, version string) int {
	err := newCommand(out, errw, version).Run(context.Background(), args)
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintf(errw, "%s: %v\n", name, err)
	var run *runError
	if errors.As(err, &run) {
		return run.status
	}
	return 1
}

// newCommand returns the command line, which writes to out and errw.
func newCommand(out, errw io.Writer, version string) *cli.Command {
	root := &cli.Command{
		Name:  name,
		Usage: "give containers clocks of their own, and see which ones have them",
		Description: "Works on CLOCK_MONOTONIC and CLOCK_BOOTTIME by Linux time namespaces.\n" +
			"CLOCK_REALTIME, the time of day, cannot be changed this way.",
		Writer:                out,
		ErrWriter:             errw,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
		},
		// Errors go through Main; the library would print them and end the program.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		HideVersion:    true,
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unknown command %q: \"%s help\" lists the commands", c.Args().First(), name)
			}
			return cli.ShowRootCommandHelp(c)
		},
		Commands: []*cli.Command{
			runCommand(), psCommand(), inspectCommand(), snapshotCommand(), explainCommand(), checkCommand(),
			configCommand(), configureCommand(), demoCommand(), versionCommand(version), probeCommand(),
		},
	}
	_ = root.Walk(func(c *cli.Command) error {
		c.OnUsageError = usageError
		return nil
	})
	return root
}

// usageError replaces the library's help page, which hides what is wrong.
func usageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	return fmt.Errorf("%w; see \"%s --help\"", err, c.FullName())
}

// oneArgument returns the only argument of a command, called what in messages.
func oneArgument(c *cli.Command, what string) (string, error) {
	switch c.NArg() {
	case 1:
		return c.Args().First(), nil
	case 0:
		return "", fmt.Errorf("%s is missing: usage: %s %s", what, c.FullName(), c.ArgsUsage)
	}
	return "", fmt.Errorf("unexpected argument %q: usage: %s %s", c.Args().Get(1), c.FullName(), c.ArgsUsage)
}

// noArguments refuses arguments, also those of a command that takes none.
func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q: usage: %s", c.Args().First(), c.FullName())
	}
	return nil
}

// outputFlag is --output; the value is checked by the caller through output.
func outputFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "`FORMAT`: table or json",
		Validator: func(s string) error {
			if s != "table" && s != "json" {
				return fmt.Errorf("unknown format %q: want table or json", s)
			}
			return nil
		},
	}
}

// outs returns where a command writes: as the root says.
func outs(c *cli.Command) (out, errw io.Writer) {
	return c.Root().Writer, c.Root().ErrWriter
}
