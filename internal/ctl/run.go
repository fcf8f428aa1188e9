package ctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"oci-timens/timens"
)

// Exit statuses of "run" for failures that are not the command's, as env(1),
// nohup(1) and timeout(1) have them.
const (
	statusFailed   = 125
	statusCannot   = 126
	statusNotFound = 127
)

// runError is a failure of "run" before there is a status of the command.
type runError struct {
	status int
	err    error
}

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }

func runCommand() *cli.Command {
	first := 1
	return &cli.Command{
		Name:      "run",
		Usage:     "run a command with clocks of its own, without a container",
		ArgsUsage: "[--monotonic SETTING] [--boottime SETTING] -- COMMAND [ARG...]",
		Description: "A setting is an offset to the host's clock (+36h, -1d2h3.5s, 90061.5) or what the clock reads\n" +
			"at the start (=0, =5m). A clock that is not named stays as it is. Needs CAP_SYS_ADMIN and\n" +
			"CAP_SYS_TIME. The exit status is the command's; 128+N when signal N ended it, 125 when it\n" +
			"could not be given its clocks, 126 when it cannot be run, 127 when it is not found.",
		Flags:           []cli.Flag{settingFlag(timens.Monotonic), settingFlag(timens.Boottime)},
		StopOnNthArg:    &first, // what follows COMMAND is its own
		HideHelpCommand: true,
		Action: func(_ context.Context, c *cli.Command) error {
			status, err := run(c)
			if err != nil {
				return err
			}
			if status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
}

func settingFlag(c timens.Clock) cli.Flag {
	return &cli.StringFlag{Name: c.String(), Usage: "`SETTING` of " + c.Const()}
}

func run(c *cli.Command) (status int, err error) {
	argv := c.Args().Slice()
	if len(argv) == 0 {
		return 0, &runError{statusFailed, fmt.Errorf("a command is missing: usage: %s %s", c.FullName(), c.ArgsUsage)}
	}
	offsets, err := askedOffsets(c)
	if err != nil {
		return 0, &runError{statusFailed, err}
	}
	cmd := timens.Command(offsets, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, forwarded()...)
	if err := cmd.Start(); err != nil {
		return 0, startError(err)
	}
	go func() {
		for s := range signals {
			if !fromTerminal(s) {
				_ = cmd.Process.Signal(s) // it may have ended
			}
		}
	}()
	return waitStatus(cmd.Wait(), cmd.ProcessState)
}

// askedOffsets returns what --monotonic and --boottime come to here and now.
func askedOffsets(c *cli.Command) (timens.Offsets, error) {
	host, err := timens.ReadHost()
	if err != nil {
		return timens.Offsets{}, err
	}
	offsets, asked := host.Own, false
	for _, clock := range timens.AllClocks() {
		flag := clock.String()
		if !c.IsSet(flag) {
			continue
		}
		asked = true
		setting, err := timens.ParseSetting(c.String(flag))
		if err != nil {
			return timens.Offsets{}, fmt.Errorf("--%s %w", flag, err)
		}
		v, err := setting.Resolve(clock, host)
		if err != nil {
			return timens.Offsets{}, fmt.Errorf("--%s %w", flag, err)
		}
		offsets = offsets.With(clock, v)
	}
	if !asked {
		return timens.Offsets{}, errors.New("no clock is asked for: give --monotonic, --boottime or both")
	}
	if err := offsets.Check(host.Clocks); err != nil {
		return timens.Offsets{}, fmt.Errorf("--%w", explainRange(err))
	}
	return offsets, nil
}

// explainRange names the flag that a range error comes from.
func explainRange(err error) error {
	var r *timens.RangeError
	if errors.As(err, &r) {
		return fmt.Errorf("%s: %w", r.Clock, err)
	}
	return err
}

// forwarded lists the signals that are passed on: all that can be caught, except
// those about our own children, the Go runtime's, and those that stop and continue
// the whole job from its terminal.
func forwarded() []os.Signal {
	except := []unix.Signal{unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT,
		unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGKILL, unix.SIGSTOP}
	var list []os.Signal
	for s := unix.Signal(1); s < 32; s++ {
		if !slices.Contains(except, s) {
			list = append(list, s)
		}
	}
	return list
}

// fromTerminal reports whether s is one that the terminal sends to every process
// of the job in its foreground, and we are in that: the command has it already.
// One that somebody sent to us alone at that time is not told apart.
func fromTerminal(s os.Signal) bool {
	if s != unix.SIGINT && s != unix.SIGQUIT && s != unix.SIGWINCH {
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false // no terminal
	}
	defer tty.Close()
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// startError picks the exit status for a command that did not start.
func startError(err error) error {
	status := statusFailed
	var path *fs.PathError
	var look *exec.Error
	switch {
	case errors.As(err, &look), errors.As(err, &path) && path.Op == "fork/exec":
		status = statusCannot
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			status = statusNotFound
		}
	}
	return &runError{status, err}
}

// waitStatus turns the end of the command into an exit status.
func waitStatus(err error, state *os.ProcessState) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, &runError{statusFailed, err}
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}
