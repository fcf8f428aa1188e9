// Package hook is what timens-hook does at the stages of an OCI runtime: it reads
// the container's state, and gives a container that asks for it its own clocks. At
// podman's precreate stage it edits config.json instead.
//
// What is asked, and whether it is granted, is decided by the packages spec,
// config and plan; what it takes in the kernel is done by timens. Neither belongs
// here.
package hook

import (
	"fmt"
	"io"
	"math"
	"strings"

	"oci-timens/config"
	"oci-timens/internal/early"
	"oci-timens/internal/logging"
	"oci-timens/internal/plan"
	"oci-timens/spec"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Usage is the text for --help.
const Usage = `usage: timens-hook [createRuntime|poststart|poststop] [SETTLED...] < state.json
       timens-hook precreate < config.json > edited.json

An OCI runtime hook that gives a container its own CLOCK_MONOTONIC and
CLOCK_BOOTTIME, as its annotations io.timens.monotonic and io.timens.boottime
ask, and keeps what they read when it has ended, as io.timens.save asks. The stage
is createRuntime if none is named. precreate is a stage of podman.
Arguments such as monotonic=+36h, which timens-nri adds, count instead of annotations.
`

const stages = "createRuntime, poststart, poststop or precreate"

// Main runs a stage and returns the exit status: 0, or 1 after one line on stderr
// that says what is wrong. A runtime then does not start the container. The caller
// must stay on its thread: be an init function, or have locked it.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, version string) int {
	early.Undo()
	stage := "createRuntime"
	if len(args) > 0 {
		stage = args[0]
	}
	var id string
	var err error
	switch {
	case len(args) > 1 && stage != "createRuntime" && stage != "poststart" && stage != "poststop":
		err = fmt.Errorf("unexpected argument %q: want one stage, "+stages, args[1])
	case stage == "--help" || stage == "-h":
		io.WriteString(stdout, Usage)
	case stage == "--version" || stage == "-v":
		fmt.Fprintln(stdout, "timens-hook", version)
	case stage == "createRuntime":
		id, err = run(stdin, given(args), createRuntime, restored)
	case stage == "poststart":
		id, err = run(stdin, given(args), poststart, nil)
	case stage == "poststop":
		id, err = poststop(stdin, given(args))
	case stage == "precreate":
		err = precreate(stdin, stdout)
	default:
		err = fmt.Errorf("unknown stage %q: want "+stages, stage)
	}
	if err != nil {
		line := strings.ReplaceAll(err.Error(), "\n", "; ")
		fmt.Fprintf(stderr, "timens-hook: %s\n", line)
		tell(stage, id, line)
		// Some runtimes throw away what a hook writes to standard error.
		if cfg, err := config.Load(); err == nil {
			log, closer := open(cfg, id)
			defer closer.Close()
			log.Error(line)
		}
		if stage == "poststop" {
			// runc's delete fails by a failure here, when the container is gone already.
			return 0
		}
		return 1
	}
	return 0
}

// keepFiles has nothing that this process starts inherit what the runtime or an engine have
// left open. It may fail: close_range(2) can do that since Linux 5.11.
func keepFiles() { _ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }

// open returns the log that the configuration asks for, and one that discards
// where there is none, or it cannot be written: clocks do not depend on a log.
func open(cfg *config.Config, id string) (*logrus.Entry, io.Closer) {
	if cfg.LogFile != "" {
		if l, closer, err := logging.New(cfg); err == nil {
			return l.WithField("container", id), closer
		}
	}
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.PanicLevel) // or it would be formatted all the same
	return logrus.NewEntry(l), io.NopCloser(nil)
}

// asked is a container that wants other clocks than it would get.
type asked struct {
	state       *specs.State
	annotations map[string]string
	request     spec.Request
	config      *config.Config
	granted     bool // see plan.Ask.Granted
	log         *logrus.Entry
}

// given are the arguments behind the stage.
func given(args []string) []string { return args[min(1, len(args)):] }

// ask is what the container asks for: by its annotations, or as it was settled before.
func ask(settled []string, annotations map[string]string) (r spec.Request, d config.Defaults, err error) {
	if len(settled) > 0 {
		return plan.ParseSettled(settled)
	}
	r, err = spec.ParseAnnotations(annotations)
	return r, d, err
}

// run reads the state and calls f, unless there is nothing to do, or restored for a
// container that is restored from a checkpoint. It returns the ID of the container, as far
// as that is known.
func run(stdin io.Reader, settled []string, f func(*asked) error, restored func(*specs.State, []string) error) (id string, err error) {
	state, err := spec.ReadState(stdin)
	if err != nil {
		return "", err
	}
	// runc runs createRuntime hooks when it restores a checkpoint, too, with the
	// state that the container had: stopped. CRIU has made a time namespace then,
	// in which the clocks go on from the checkpoint.
	if state.Status == specs.StateStopped {
		if restored != nil {
			err = restored(state, settled)
		}
		return state.ID, err
	}
	annotations, err := spec.StateAnnotations(state)
	if err != nil {
		return state.ID, err
	}
	request, defaults, err := ask(settled, annotations)
	if err != nil {
		return state.ID, err
	}
	cfg, err := config.Load()
	if err != nil {
		return state.ID, err
	}
	if len(settled) > 0 {
		cfg.Defaults = defaults
	}
	if plan.Nothing(request, cfg) {
		return state.ID, nil
	}
	log, closer := open(cfg, state.ID)
	defer closer.Close()
	return state.ID, f(&asked{state, annotations, request, cfg, len(settled) > 0, log})
}
