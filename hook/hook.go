// Package hook is what timens-hook does at the stages of an OCI runtime: it reads
// the container's state, and gives a container that asks for it its own clocks.
//
// What is asked, and whether it is granted, is decided by the packages spec,
// config and plan; what it takes in the kernel is done by timens. Neither belongs
// here.
package hook

import (
	"fmt"
	"io"
	"strings"

	"oci-timens/config"
	"oci-timens/internal/logging"
	"oci-timens/internal/plan"
	"oci-timens/spec"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
)

// Usage is the text for --help.
const Usage = `usage: timens-hook [createRuntime|poststart] < state.json

An OCI runtime hook that gives a container its own CLOCK_MONOTONIC and
CLOCK_BOOTTIME, as its annotations io.timens.monotonic and io.timens.boottime
ask. The stage is createRuntime if none is named.
`

// Main runs a stage and returns the exit status: 0, or 1 after one line on stderr
// that says what is wrong. A runtime then does not start the container.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, version string) int {
	stage := "createRuntime"
	if len(args) > 0 {
		stage = args[0]
	}
	var err error
	switch {
	case len(args) > 1:
		err = fmt.Errorf("unexpected argument %q: want one stage, createRuntime or poststart", args[1])
	case stage == "--help" || stage == "-h":
		io.WriteString(stdout, Usage)
	case stage == "--version" || stage == "-v":
		fmt.Fprintln(stdout, "timens-hook", version)
	case stage == "createRuntime":
		err = run(stdin, createRuntime)
	case stage == "poststart":
		err = run(stdin, poststart)
	default:
		err = fmt.Errorf("unknown stage %q: want createRuntime or poststart", stage)
	}
	if err != nil {
		fmt.Fprintf(stderr, "timens-hook: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}

// asked is a container that wants other clocks than it would get.
type asked struct {
	state       *specs.State
	annotations map[string]string
	request     spec.Request
	config      *config.Config
	log         *logrus.Entry
}

// run reads the state and calls f, unless there is nothing to do.
func run(stdin io.Reader, f func(*asked) error) error {
	state, err := spec.ReadState(stdin)
	if err != nil {
		return err
	}
	// runc runs createRuntime hooks when it restores a checkpoint, too, with the
	// state that the container had: stopped. CRIU has made a time namespace then,
	// in which the clocks go on from the checkpoint.
	if state.Status == specs.StateStopped {
		return nil
	}
	annotations, err := spec.StateAnnotations(state)
	if err != nil {
		return err
	}
	request, err := spec.ParseAnnotations(annotations)
	if err != nil {
		return err
	}
	cfg, err := config.Load()
	if err != nil {
		return err
	}
	if plan.Nothing(request, cfg) {
		return nil
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	if l, closer, err := logging.New(cfg); err == nil { // clocks do not depend on a log
		defer closer.Close()
		log = l
	}
	a := &asked{state, annotations, request, cfg, log.WithField("container", state.ID)}
	for _, note := range request.Notes {
		a.log.Warn(note)
	}
	if err := f(a); err != nil {
		a.log.Error(err)
		return err
	}
	return nil
}
