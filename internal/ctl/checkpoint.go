package ctl

import (
	"fmt"
	"io"

	"oci-timens/internal/lowlevel"
	"oci-timens/internal/preflight"
	"oci-timens/timens"
)

// checkpointReport is what check prints of one container that is to be checkpointed.
type checkpointReport struct {
	Init      process  `json:"init"`
	Namespace uint64   `json:"namespace"`
	Processes int      `json:"processes"`
	Threads   int      `json:"threads"`
	Strays    []thread `json:"strays"`

	Kernel         string `json:"kernel"`
	TimeNamespaces answer `json:"timeNamespaces"`
	CRIU           struct {
		Path    string `json:"path"`
		Version string `json:"version"`
	} `json:"criu"`

	Works bool `json:"works"`
	// Problems are why it does not, each with what to do.
	Problems []string `json:"problems"`
}

// thread is one that has other clocks than its container's init, or whose children will have.
type thread struct {
	PID                  int    `json:"pid"`
	TID                  int    `json:"tid"`
	Name                 string `json:"name"`
	Namespace            uint64 `json:"namespace"`
	NamespaceForChildren uint64 `json:"namespaceForChildren"`
}

// checkpointFacts are what the report is made of.
type checkpointFacts struct {
	kernel       string
	missing      error // time namespaces
	init         process
	container    timens.Container
	containerErr error
	criu         lowlevel.CRIU
	criuErr      error
}

// checkCheckpoint looks at a container, and at the machine, without changing anything.
func checkCheckpoint(what string) (*checkpointReport, error) {
	f := checkpointFacts{kernel: kernelRelease(), missing: timens.HaveTimeNamespaces()}
	f.criu, f.criuErr = lowlevel.FindCRIU()
	if f.missing != nil {
		return f.report(), nil // then no process can be looked at either
	}
	tasks, _, err := timens.Tasks()
	if err != nil {
		return nil, err
	}
	known := findContainers(tasks, stateFiles)
	pid, err := resolve(what, tasks, known)
	if err != nil {
		return nil, err
	}
	f.init = process{PID: pid, Container: known.of[pid]}
	for _, t := range tasks {
		if t.PID == pid {
			f.init.Name = printable(t.Name)
		}
	}
	f.container, f.containerErr = preflight.Look(pid)
	return f.report(), nil
}

// report draws the conclusions.
func (f checkpointFacts) report() *checkpointReport {
	r := &checkpointReport{
		Init: f.init, Namespace: f.container.Namespaces.Time.Ino, Processes: f.container.Processes, Threads: f.container.Threads,
		Strays: []thread{}, Kernel: f.kernel, TimeNamespaces: answerOf(f.missing), Problems: []string{},
	}
	r.CRIU.Path, r.CRIU.Version = f.criu.Path, f.criu.Version
	for _, s := range f.container.Strays {
		r.Strays = append(r.Strays, thread{s.PID, s.TID, printable(s.Name), s.Namespaces.Time.Ino, s.Namespaces.ForChildren.Ino})
	}
	for _, err := range []error{f.missing, f.criuErr, f.containerErr, preflight.Refusal(f.init.PID, f.container)} {
		if err != nil {
			r.Problems = append(r.Problems, err.Error())
		}
	}
	r.Works = len(r.Problems) == 0
	return r
}

// write prints it for people.
func (r *checkpointReport) write(w io.Writer) {
	line := func(what, text string) { fmt.Fprintf(w, "%-16s  %s\n", what, text) }
	if r.Init.PID != 0 {
		text := fmt.Sprintf("%s[%d]", r.Init.Name, r.Init.PID)
		if r.Init.Container != "" {
			text = fmt.Sprintf("%s, init %s", printable(r.Init.Container), text)
		}
		line("container", fmt.Sprintf("%s in time:[%d]", text, r.Namespace))
		line("tasks", fmt.Sprintf("processes: %d, threads: %d, elsewhere: %d", r.Processes, r.Threads, len(r.Strays)))
	}
	line("kernel", "Linux "+r.Kernel)
	line("time namespaces", r.TimeNamespaces.Answer)
	criu := "not found"
	if r.CRIU.Path != "" {
		criu = r.CRIU.Version + " (" + r.CRIU.Path + ")"
	}
	line("CRIU", criu)
	fmt.Fprintln(w)
	for _, p := range r.Problems {
		fmt.Fprintf(w, "%s checkpoint: %s\n", tick(false), p)
	}
	if r.Works {
		fmt.Fprintf(w, "%s checkpoint: every task of the container has the clocks of its init, and will keep them\n", tick(true))
	}
}
