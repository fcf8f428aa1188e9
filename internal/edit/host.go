package edit

import (
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/timens"
)

// Host is the machine that this runs on, with the low-level runtime at the given
// path.
func Host(runtime string) Facts { return host{runtime} }

type host struct{ runtime string }

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
