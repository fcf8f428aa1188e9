package edit

import (
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/internal/pod"
	"oci-timens/timens"
)

// Host is the machine that this runs on, with the low-level runtime at the given
// path, for who only wants to know.
func Host(runtime string) Facts { return host{runtime} }

// Start is Host for who is about to start the container: what is resolved for all of
// its pod is kept.
func Start(runtime string) Facts { return starting{host{runtime}} }

type host struct{ runtime string }

type starting struct{ host }

func (h host) Runtime() (plan.Runtime, error) {
	r, err := lowlevel.Identify(h.runtime)
	return plan.Runtime{Name: r.Name, Version: r.Version}, err
}

func (host) Kernel(r plan.Runtime) plan.Kernel {
	k := plan.Kernel{TimeNamespaces: timens.HaveTimeNamespaces()}
	if k.TimeNamespaces == nil && !r.Native() {
		k.ExecSwitch = timens.HaveExecSwitch()
	}
	return k
}

func (host) Clocks() (timens.Host, error) { return timens.ReadHost() }

func (host) Hook() string { return lowlevel.Companion("timens-hook") }

func (host) InPod(m pod.Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	return pod.Look(m, a, decide)
}

func (starting) InPod(m pod.Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	return pod.Decide(m, a, decide)
}
