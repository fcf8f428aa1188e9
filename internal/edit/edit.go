// Package edit is the way of a config.json from the annotations in it to the
// edited document: what is asked, what is decided, what changes. The shim and
// whoever else holds a config.json before the low-level runtime reads it go it.
//
// Where the document comes from and goes to does not belong here, nor does how
// decisions are made: that is package plan.
package edit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/config"
	"oci-timens/internal/plan"
	"oci-timens/internal/pod"
	"oci-timens/internal/saved"
	"oci-timens/spec"
	"oci-timens/timens"
)

// Facts is what a decision needs to know of the host. Nothing is asked while no
// container asks for clocks.
type Facts interface {
	Runtime() (plan.Runtime, error)
	// Kernel may leave out, as yes, what does not matter to the runtime: on old
	// kernels the answer takes a process.
	Kernel(plan.Runtime) plan.Kernel
	Clocks() (timens.Host, error)
	Hook() string // path of timens-hook, or ""
	// InPod decides for a container of a pod.
	InPod(m pod.Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error)
}

// Result says what was asked and decided. Request is set as far as it was
// understood when there was an error.
type Result struct {
	Request spec.Request
	Plan    plan.Plan
}

// Edit changes doc so that the container gets the clocks that it asks for, and
// no others that an earlier Edit has put there. An error is a refusal: the
// container must not start. The document is then unchanged.
func Edit(doc *spec.Document, cfg *config.Config, f Facts) (Result, error) {
	return edit(doc, cfg, f, plan.Bundle{})
}

// Filter is Edit for a document that is then read by another program, and is
// written by that for the low-level runtime: it may drop what it does not know, as
// podman before 4.6 does with timeOffsets. So timens-hook is added even where the
// runtime sets offsets by itself: it finds them set, or sets them.
func Filter(doc *spec.Document, cfg *config.Config, f Facts) (Result, error) {
	return edit(doc, cfg, f, plan.Bundle{Filtered: true})
}

func edit(doc *spec.Document, cfg *config.Config, f Facts, b plan.Bundle) (Result, error) {
	saved := *doc
	r, err := try(doc, cfg, f, b)
	if err != nil {
		*doc = saved
	}
	return r, err
}

func try(doc *spec.Document, cfg *config.Config, f Facts, b plan.Bundle) (r Result, err error) {
	// First, so that it is decided on what the container has without us.
	if err := doc.UndoTime(); err != nil {
		return r, err
	}
	annotations, err := doc.Annotations()
	if err != nil {
		return r, err
	}
	if r.Request, err = spec.ParseAnnotations(annotations); err != nil {
		return r, err
	}
	if plan.Nothing(r.Request, cfg) {
		r.Plan.Reason = "no clock is asked for"
		return r, nil
	}
	a := plan.Ask{Annotations: annotations, Config: cfg}
	saves := r.Request.Save != ""
	if err := collect(doc, f, &b, saves); err != nil {
		return r, err
	}
	if !errors.Is(b.Kernel.TimeNamespaces, timens.ErrNotSupported) {
		if a.Host, err = f.Clocks(); err != nil {
			return r, fmt.Errorf("the clocks of this host: %w", err)
		}
		if r.Request.Resumes() && a.Host.Wall == (timens.Wall{}) {
			if a.Host, err = a.Host.WithWall(); err != nil {
				return r, fmt.Errorf("the clocks of this host: %w", err)
			}
		}
		if err := saved.In(cfg).Resolve(&r.Request, a.Host); err != nil {
			return r, err
		}
	}
	a.Request = r.Request
	if r.Plan, err = decide(doc, f, a, b); err != nil {
		return r, err
	}
	return r, apply(r.Plan, b, doc)
}

// decide has the plan made, together with those of the container's pod.
func decide(doc *spec.Document, f Facts, a plan.Ask, b plan.Bundle) (plan.Plan, error) {
	m, in, err := pod.MemberOf(a.Annotations, doc.Joined)
	if err != nil {
		return plan.Plan{}, err
	}
	if !in {
		return plan.ForBundle(a, b)
	}
	return f.InPod(m, a, func(a plan.Ask) (plan.Plan, error) { return plan.ForBundle(a, b) })
}

// collect fills in what the plan depends on.
func collect(doc *spec.Document, f Facts, b *plan.Bundle, saves bool) (err error) {
	if b.Runtime, err = f.Runtime(); err != nil {
		return err
	}
	if b.Filtered || saves || !b.Runtime.Native() {
		b.HookPath = f.Hook()
	}
	b.Kernel = f.Kernel(b.Runtime)
	if b.Time, err = doc.Time(); err != nil {
		return err
	}
	if b.NewPID, err = isNew(doc, specs.PIDNamespace); err != nil {
		return err
	}
	b.NewUser, err = isNew(doc, specs.UserNamespace)
	return err
}

// isNew reports whether the container gets a new namespace of a type.
func isNew(doc *spec.Document, typ specs.LinuxNamespaceType) (bool, error) {
	present, path, err := doc.Namespace(string(typ))
	return present && path == "", err
}

// apply does what the plan says in doc.
func apply(p plan.Plan, b plan.Bundle, doc *spec.Document) error {
	switch p.Mechanism {
	case plan.Native:
		if err := doc.SetTime(p.Offsets); err != nil {
			return err
		}
	case plan.Hooks:
		if !b.Runtime.TakesTimeEntry() && len(b.Time.Listed) == 0 {
			// The hook makes the namespace that an engine has asked for.
			if err := doc.DropTimeNamespace(); err != nil {
				return err
			}
		}
	}
	for _, stage := range b.Stages(p) {
		h := specs.Hook{Path: b.HookPath, Args: []string{"timens-hook", stage}, Env: hookEnv()}
		if err := doc.AddHook(stage, h); err != nil {
			return err
		}
	}
	return nil
}

// hookEnv is the environment of the hooks, which runtimes start with nothing
// else: the hook has to read the configuration that was read here, and keep what it
// keeps where it is looked for here.
func hookEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "XDG_RUNTIME_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if v := os.Getenv(config.EnvPath); v != "" {
		// The hook is run in another directory.
		if abs, err := filepath.Abs(v); err == nil {
			v = abs
		}
		env = append(env, config.EnvPath+"="+v)
	}
	return append(env, plan.HookVariable)
}
