package plan

import (
	"errors"
	"fmt"

	"oci-timens/spec"
	"oci-timens/timens"
)

// Bundle is what is known of a container before its low-level runtime reads
// config.json.
type Bundle struct {
	Runtime  Runtime
	HookPath string // of timens-hook, "" when it was not found
	Time     spec.TimeSpec
	NewPID   bool // config.json asks for a new pid namespace
	NewUser  bool // and for a new user namespace
	Kernel   Kernel
	// Filtered says that another program reads the edited config.json and writes
	// the one that a low-level runtime reads, which Runtime may only stand for: it
	// is one that Least has chosen.
	Filtered bool
}

// ForBundle decides for a container whose config.json can still be edited:
// PassThrough, Native or Hooks. Errors are refusals, such as *DeniedError and
// *UnsupportedError: the container must not start.
func ForBundle(a Ask, b Bundle) (Plan, error) {
	w := a.wish()
	if w.IsZero() {
		return Plan{Reason: "no clock is asked for"}, nil
	}
	p, err := keeping(a, b, w)
	if err != nil {
		obeyed := b.Runtime.Name == "crun" && b.Time.Present
		return a.react(err, obeyed, func(a Ask) (Plan, error) { return ForBundle(a, b) })
	}
	return p, nil
}

// keeping is forBundle for a container whose clocks may have to be kept as well.
func keeping(a Ask, b Bundle, w wish) (Plan, error) {
	p, err := forBundle(a, b, w)
	if err != nil || w.Save == "" {
		return p, err
	}
	if b.HookPath == "" {
		return Plan{}, &UnsupportedError{"timens-hook, which keeps clocks, was not found: install it beside timens-runc or in /usr/libexec/oci/hooks.d", nil}
	}
	p.Save = w.Save
	return p, nil
}

func forBundle(a Ask, b Bundle, w wish) (Plan, error) {
	if err := a.allowed(w); err != nil {
		return Plan{}, err
	}
	if b.Time.Path != "" {
		return joins(w, b.Time.Path)
	}
	if err := b.Kernel.namespaces(); err != nil {
		return Plan{}, err
	}
	has, base := a.Host.Own, a.base()
	for c := range b.Time.Listed {
		has, base = has.With(c, b.Time.Offsets.Get(c)), base.With(c, b.Time.Offsets.Get(c))
	}
	o, err := a.offsets(w, base)
	if err != nil {
		return Plan{}, err
	}
	if o == a.Host.Own && o == has {
		if !w.AsksClocks() {
			return Plan{Reason: "no clock is asked for"}, nil
		}
		return Plan{Reason: "the clocks asked for are those of this host"}, nil
	}
	p := Plan{Offsets: o, Resolved: a.toKeep(w, o), Warnings: a.stepped(w)}
	p.Mechanism, p.Reason, err = b.mechanism()
	if err != nil {
		return Plan{}, err
	}
	return p, nil
}

// joins answers for a container that joins a time namespace. Its offsets are
// fixed: the kernel freezes them when the first task enters. Defaults are for
// containers that say nothing about clocks, and do not apply.
func joins(w wish, path string) (Plan, error) {
	if !w.AsksClocks() {
		return Plan{Reason: fmt.Sprintf("the container joins the time namespace %q", path)}, nil
	}
	if w.isDefault {
		return Plan{Reason: fmt.Sprintf("the container joins the time namespace %q, and defaults do not apply to it", path)}, nil
	}
	f := w.first()
	return Plan{}, fmt.Errorf("%s: %q cannot be given: config.json has the container join the time namespace %q, and the offsets of an existing namespace are fixed; remove the annotation, or the path", f.Source, f.Value, path)
}

// namespaces is an error where the kernel has no time namespaces. Where that
// could not be told, making one fails loudly later.
func (k Kernel) namespaces() error {
	if errors.Is(k.TimeNamespaces, timens.ErrNotSupported) {
		return &UnsupportedError{"the kernel is too old or built without them", k.TimeNamespaces}
	}
	return nil
}

// mechanism chooses between the runtime's own support and the hooks.
func (b Bundle) mechanism() (Mechanism, string, error) {
	if b.Runtime.Native() {
		reason := fmt.Sprintf("%v sets time offsets itself", b.Runtime)
		if b.Filtered {
			reason += ", and timens-hook makes sure"
		}
		return Native, reason, nil
	}
	why := b.notNative()
	if b.HookPath == "" {
		return 0, "", &UnsupportedError{why + "; and timens-hook, which can, was not found: install it beside timens-runc or in /usr/libexec/oci/hooks.d", nil}
	}
	// crun's init is a single thread, which can enter a namespace at once. Any
	// other has to wait for exec to take it there, and would start with the
	// host's clocks where exec does not, so "could not tell" is no as well.
	if b.Kernel.ExecSwitch != nil && b.Runtime.Name != "crun" {
		return 0, "", &UnsupportedError{why + "; and its waiting init cannot be moved on this kernel", b.Kernel.ExecSwitch}
	}
	return Hooks, why + "; timens-hook does it", nil
}

// HookVariable is in the environment of every hook: it does one thing at a time, and is over
// before a second thread has anything to do. Not to have one takes a fifth from the time that
// the hook takes.
const HookVariable = "GOMAXPROCS=1"

// Stages are the hooks of timens-hook that config.json needs for a plan. createRuntime
// notes which clocks are to be kept, of whatever mechanism, and poststop keeps them.
func (b Bundle) Stages(p Plan) []string {
	list := b.stages(p.Mechanism)
	if p.Save == "" {
		return list
	}
	if len(list) == 0 {
		list = []string{"createRuntime"}
	}
	return append(list, "poststop")
}

func (b Bundle) stages(m Mechanism) []string {
	switch {
	case m == Native && b.Filtered:
		// runc exec joins by config.json, with offsets or without.
		return []string{"createRuntime"}
	case m == Hooks && (b.Filtered || b.Runtime.Name == "runc"):
		// Without poststart, runc exec sees the host's clocks.
		return []string{"createRuntime", "poststart"}
	case m == Hooks:
		return []string{"createRuntime"}
	}
	return nil
}
