// Package plan decides what is done for a container: nothing, an edit of its
// config.json, hooks that are added there, or a time namespace given to its
// waiting init. Decisions are pure: everything that they depend on comes in as
// values, and the same values always give the same Plan.
//
// Reading those facts, and doing what a Plan says, does not belong here.
package plan

import (
	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

// Mechanism is how a container gets its clocks.
type Mechanism int

const (
	// PassThrough leaves the container as it is.
	PassThrough Mechanism = iota
	// Native lets the low-level runtime do it: linux.timeOffsets in config.json.
	Native
	// Hooks adds the hooks of timens-hook to config.json.
	Hooks
	// Remote gives the waiting init a time namespace, which is what those hooks do.
	Remote
)

// String returns the word that is printed for m.
func (m Mechanism) String() string {
	switch m {
	case PassThrough:
		return "pass through"
	case Native:
		return "native"
	case Hooks:
		return "hooks"
	case Remote:
		return "remote"
	}
	return "unknown"
}

// Plan is what is to be done.
type Plan struct {
	Mechanism Mechanism
	// Offsets are those of both clocks to the initial time namespace. They are
	// zero for PassThrough.
	Offsets timens.Offsets
	// Reason says in words why this mechanism.
	Reason string
	// Warnings say what was asked for and is not done, for the log.
	Warnings []string
	// Resolved are readings that the other containers of the pod have to get the
	// same offsets for. They must be kept before anything else is done.
	Resolved []Resolved
	// Save is the name under which the clocks are to be kept, as spec.Request.Save.
	Save string
}

// Ask is what a container asks for, and of whom.
type Ask struct {
	Request     spec.Request
	Annotations map[string]string // all of the container's, for the policy's rules
	Config      *config.Config
	Host        timens.Host
	Pod         *Pod // nil for a container that shares its clocks with nobody
	// Granted says that the rules on who may ask have been applied by somebody who
	// knows more of the container's pod than Annotations tell.
	Granted bool
}

// Nothing reports whether nothing has to be done, which can be known before any
// fact of the host is: no clock is asked for and there are no defaults.
func Nothing(r spec.Request, c *config.Config) bool {
	return r.IsZero() && c.Defaults.IsZero()
}

// Kernel is what the kernel can do: results of timens.HaveTimeNamespaces and
// timens.HaveExecSwitch. nil is yes, an error that matches timens.ErrNotSupported
// is no, and any other means that it could not be told.
type Kernel struct{ TimeNamespaces, ExecSwitch error }
