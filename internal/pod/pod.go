// Package pod gives the containers of a pod one set of clocks: it looks at the pod's
// sandbox, and keeps below /run what the first container of a pod has got whose
// sandbox has no clocks of its own.
//
// What is right for a container that shares them is decided by package plan, and is
// done by hook, shim and nri: neither belongs here.
package pod

import (
	"fmt"

	"oci-timens/internal/plan"
	"oci-timens/spec"
	"oci-timens/timens"
)

// Member is a container of a pod.
type Member struct {
	ID     string // of the pod
	Joined spec.Joined
	Init   *timens.Process // nil before there is one
}

// MemberOf returns whether a container with these annotations is in a pod, and how.
// joined is asked only then.
func MemberOf(annotations map[string]string, joined func() (spec.Joined, error)) (m Member, in bool, err error) {
	if m.ID, in, err = spec.Pod(annotations); in {
		m.Joined, err = joined()
	}
	return m, in, err
}

// Decide calls decide for a member of a pod with a.Pod set, and returns its plan. What
// it resolved for the whole pod is kept before Decide returns, and two containers that
// start at once get the same. An error is a refusal.
func Decide(m Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	return with(m, a, decide, open)
}

// Look is Decide for who wants to know, and changes nothing.
func Look(m Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	return with(m, a, decide, look)
}

func with(m Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error), open func(record) (*state, error)) (plan.Plan, error) {
	a.Pod = &plan.Pod{Sandbox: a.Host.Own}
	if m.Joined.PID == 0 {
		return apart(m, a, decide)
	}
	s, err := timens.ReadSandbox(m.Joined.PID, m.Joined.File, m.Init)
	if err != nil {
		return plan.Plan{}, err
	}
	a.Pod.Sandbox = s.Offsets
	return withKept(record{m.ID, s.PID, s.StartTicks}, a, decide, open)
}

// withKept decides with what the pod has kept, and keeps what was resolved.
func withKept(r record, a plan.Ask, decide func(plan.Ask) (plan.Plan, error), open func(record) (*state, error)) (plan.Plan, error) {
	if !a.NeedsKept() {
		return decide(a)
	}
	st, err := open(r)
	if err != nil {
		return plan.Plan{}, fmt.Errorf("the clocks that pod %s shares: %w", r.id, err)
	}
	defer st.close()
	a.Pod.Kept = st.kept
	p, err := decide(a)
	if err != nil || len(p.Resolved) == 0 {
		return p, err
	}
	if err := st.keep(p.Resolved); err != nil {
		return plan.Plan{}, fmt.Errorf("the clocks that pod %s shares: %w", r.id, err)
	}
	return p, nil
}

// apart decides for a container that joins no namespace of a sandbox, as in podman's
// pods without an infra container, or with --share none. An ID alone does not tell a
// pod from what it was before a restart, and a container that shares nothing else with
// the others shares no clocks either.
func apart(m Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	needs := a.NeedsKept()
	a.Pod = nil
	p, err := decide(a)
	if err == nil && needs {
		p.Warnings = append(p.Warnings, fmt.Sprintf("this container joins no namespace of the sandbox of pod %s: its clocks are its own", m.ID))
	}
	return p, err
}
