// Package shim is timens-runc, which stands in the place of a low-level runtime:
// it takes the same command line, edits config.json where the container is to
// have its own clocks, and replaces itself by the runtime.
//
// What is asked, and what is done about it, is decided by the packages spec,
// config and plan. Nothing here outlives the start of the runtime: exit codes,
// signals, standard streams and file descriptors are the runtime's own.
package shim

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"oci-timens/config"
	"oci-timens/internal/early"
	"oci-timens/internal/edit"
	"oci-timens/internal/lowlevel"
)

// Main runs the command line args, whose first element is the program's name, by
// becoming the low-level runtime. It returns an exit status where that did not
// happen: 1 after an error, and that of the runtime after `features`.
//
// An engine may tie its runtime to its own life (PR_SET_PDEATHSIG, as containerd
// does). Only an exec of the main thread preserves that, so the caller should be
// an init function, which Go runs on it, or have locked it there by
// runtime.LockOSThread.
//
// Two things are lost in any program in Go before its own code runs, as they are
// in runc: that signals other than SIGHUP and SIGINT were ignored, and that those
// were blocked which end a process (initsig and blockableSig in Go's runtime). Calls
// that early.go hands on do not get here, and keep them.
func Main(args []string) int {
	early.Undo()
	s := &shim{
		args: args, stdout: os.Stdout, stderr: os.Stderr, facts: edit.Start,
		// syscall.Exec, because it gives back the limit of open files that Go's
		// start has raised (origRlimitNofile).
		exec: syscall.Exec,
	}
	return s.run()
}

// shim is one run. What touches the outside is in fields, for tests.
type shim struct {
	args           []string
	stdout, stderr io.Writer
	facts          func(runtime string) edit.Facts
	exec           func(path string, argv, env []string) error

	inv *invocation
	cfg *config.Config // nil until it is read, and where no container is made
}

func (s *shim) run() int {
	status, err := s.try()
	if err != nil {
		s.fail(err)
		return 1
	}
	return status
}

func (s *shim) try() (status int, err error) {
	var rest []string
	if len(s.args) > 0 {
		rest = s.args[1:]
	}
	if s.inv, err = parse(rest); err != nil {
		return 1, err
	}
	runtimes, err := s.runtimes()
	if err != nil {
		return 1, err
	}
	path, err := lowlevel.Find(runtimes)
	if err != nil {
		return 1, err
	}
	env := os.Environ()
	switch {
	case s.inv.makesContainer():
		err = s.prepare(s.facts(path))
	case s.inv.checkpoints():
		err = s.checkpoint(s.facts(path))
	case s.inv.restores():
		rest, env, err = s.restore(s.facts(path), rest, env)
	case s.inv.command == "features":
		return s.features(path, rest)
	}
	if err != nil {
		return 1, err
	}
	if err := s.exec(path, append([]string{path}, rest...), env); err != nil {
		return 1, fmt.Errorf("exec %s: %w", path, err)
	}
	return 0, nil
}

// runtimes reads the configuration: all of it where a container is made, else
// only which runtimes to use. Containers that run must not outlive a mistake in
// it because nobody can stop them, or move them elsewhere.
func (s *shim) runtimes() (names []string, err error) {
	if s.inv.checkpoints() || s.inv.restores() {
		if s.cfg, err = config.Load(); err == nil { // for its log-file
			return s.cfg.Runtimes, nil
		}
	}
	if !s.inv.makesContainer() {
		return config.LoadRuntimes()
	}
	if s.cfg, err = config.Load(); err != nil {
		return nil, err
	}
	return s.cfg.Runtimes, nil
}
