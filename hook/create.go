package hook

import (
	"errors"
	"fmt"
	"io/fs"

	"oci-timens/internal/plan"
	"oci-timens/internal/pod"
	"oci-timens/internal/saved"
	"oci-timens/spec"
	"oci-timens/timens"
)

// createRuntime shifts the clocks of the container's init, which waits for this
// hook to end.
func createRuntime(a *asked) error {
	if missing := timens.HaveTimeNamespaces(); errors.Is(missing, timens.ErrNotSupported) {
		return withoutNamespaces(a, missing)
	}
	p, err := timens.OpenProcess(a.state.Pid)
	if err != nil {
		return err
	}
	defer p.Close()
	status, err := p.Status()
	if err != nil {
		return err
	}
	if status.Tracer != 0 {
		return checkTraced(p, status.Tracer)
	}
	if err := p.CheckWaitingInit(a.state.ID, status); err != nil {
		return err
	}
	host, err := timens.ReadHost()
	if err != nil {
		return err
	}
	if a.request.Resumes() {
		if host, err = host.WithWall(); err != nil {
			return err
		}
	}
	init, err := initFacts(a, p, host)
	if err != nil {
		return err
	}
	reads := a.request.Monotonic.Setting.Reads() || a.request.Boottime.Setting.Reads()
	if !a.request.Resumes() && (reads || !a.request.AsksClocks()) {
		// The container's clocks begin with its init, which is there already. Those that go
		// on from a snapshot do so from here: it may have been taken since.
		if host, err = p.HostAtStart(host); err != nil {
			return err
		}
	}
	if err := saved.In(a.config).Resolve(&a.request, host); err != nil {
		return err
	}
	for _, note := range a.request.Notes {
		a.log.Warn(note)
	}
	ask := plan.Ask{Request: a.request, Annotations: a.annotations, Config: a.config, Host: host, Granted: a.granted}
	decided, err := decide(a, p, ask, init)
	if err != nil {
		return err
	}
	for _, w := range decided.Warnings {
		a.log.Warn(w)
	}
	if decided.Mechanism != plan.Remote {
		a.log.Info(decided.Reason)
	} else {
		if err := timens.InjectLocked(p, decided.Offsets); err != nil {
			return err
		}
		a.log.Infof("process %d has offsets %v: %s", p.PID(), decided.Offsets, decided.Reason)
	}
	if decided.Save == "" {
		return nil
	}
	return begin(a.config, decided.Save, a.state.ID, p)
}

// withoutNamespaces is for a kernel that has none: nothing of the process can be looked at,
// and the policy may have it started all the same.
func withoutNamespaces(a *asked, missing error) error {
	ask := plan.Ask{Request: a.request, Annotations: a.annotations, Config: a.config, Granted: a.granted}
	decided, err := plan.ForInit(ask, plan.Init{Kernel: plan.Kernel{TimeNamespaces: missing}})
	for _, w := range decided.Warnings {
		a.log.Warn(w)
	}
	return err
}

// decide has the plan made, together with those of the container's pod.
func decide(a *asked, p *timens.Process, ask plan.Ask, init plan.Init) (plan.Plan, error) {
	m, in, err := pod.MemberOf(a.annotations, func() (spec.Joined, error) {
		doc, err := spec.ReadFile(a.state.Bundle, "config.json")
		if err != nil {
			return spec.Joined{}, err
		}
		return doc.Joined()
	})
	if err != nil {
		return plan.Plan{}, err
	}
	if !in {
		return plan.ForInit(ask, init)
	}
	m.Init = p
	return pod.Decide(m, ask, func(a plan.Ask) (plan.Plan, error) { return plan.ForInit(a, init) })
}

// checkTraced is about a process that has a tracer, and so cannot have another.
// If that is CRIU, restoring the container, the process is already in a time
// namespace, in which its clocks go on from the checkpoint. Else it is refused.
func checkTraced(p *timens.Process, tracer int) error {
	name := "unknown"
	if t, err := timens.OpenProcess(tracer); err == nil {
		defer t.Close()
		if s, err := t.Status(); err == nil {
			name = s.Name
		}
	}
	if name == "criu" {
		theirs, err := p.Namespaces()
		if err != nil {
			return err
		}
		mine, err := timens.OwnNamespaces()
		if err != nil || theirs.Time != mine.Time && theirs.Time == theirs.ForChildren {
			return err
		}
	}
	return fmt.Errorf("container init %d is being traced by process %d (%q), so its clocks cannot be set: start the container without a tracer that follows children", p.PID(), tracer, name)
}

// initFacts looks at what the waiting process has now.
func initFacts(a *asked, p *timens.Process, host timens.Host) (plan.Init, error) {
	init := plan.Init{Kernel: plan.Kernel{TimeNamespaces: timens.HaveTimeNamespaces(), ExecSwitch: timens.HaveExecSwitch()}}
	var err error
	if init.Threads, err = p.Threads(); err != nil {
		return init, err
	}
	theirs, err := p.Namespaces()
	if err != nil {
		return init, err
	}
	mine, err := timens.OwnNamespaces()
	if err != nil {
		return init, err
	}
	init.Current = host.Own
	if init.Private = theirs.ForChildren != mine.ForChildren; init.Private {
		if init.Current, err = p.Offsets(); err != nil {
			return init, err
		}
	}
	// What config.json says tells whether offsets that are there already are an
	// answer to the same annotations, and whether a namespace is joined by path.
	init.Spec, err = timeSpec(a.state.Bundle)
	return init, err
}

// timeSpec is about a bundle, or for libcontainer, which needs none, about nothing.
func timeSpec(bundle string) (spec.TimeSpec, error) {
	t, err := spec.ReadTime(bundle)
	if errors.Is(err, fs.ErrNotExist) {
		return spec.TimeSpec{}, nil
	}
	return t, err
}
