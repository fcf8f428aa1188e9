package plan

import (
	"fmt"
	"time"

	"oci-timens/spec"
	"oci-timens/timens"
)

// Init is what is known of a container's init that waits for its hooks.
type Init struct {
	// Current are the offsets of its time namespace, Private whether that is
	// another one than its runtime's.
	Current timens.Offsets
	Private bool
	// Spec is what config.json says.
	Spec    spec.TimeSpec
	Threads int
	Kernel  Kernel
}

// startTime is how long a container takes at most from the edit of config.json
// to its createRuntime hooks.
const startTime = time.Minute

// clockTick is how exactly the start of a process is known.
const clockTick = 10 * time.Millisecond

// ForInit decides for a waiting init: PassThrough or Remote. Errors are refusals,
// such as *DeniedError and *UnsupportedError: the container must not start.
func ForInit(a Ask, i Init) (Plan, error) {
	w := a.wish()
	if w.IsZero() {
		return Plan{Reason: "no clock is asked for"}, nil
	}
	p, err := forInit(a, i, w)
	if err != nil {
		obeyed := i.Private && i.Current != a.Host.Own
		return a.react(err, obeyed, func(a Ask) (Plan, error) { return ForInit(a, i) })
	}
	p.Save = w.Save
	return p, nil
}

func forInit(a Ask, i Init, w wish) (Plan, error) {
	if err := a.allowed(w); err != nil {
		return Plan{}, err
	}
	if i.Spec.Path != "" {
		return joins(w, i.Spec.Path)
	}
	if err := i.Kernel.namespaces(); err != nil {
		return Plan{}, err
	}
	base := i.Current
	for _, c := range timens.AllClocks() {
		if !i.Spec.Listed[c] && base.Get(c) == a.Host.Own.Get(c) {
			base = base.With(c, a.base().Get(c))
		}
	}
	o, err := a.offsets(w, base)
	if err != nil {
		return Plan{}, err
	}
	for _, c := range timens.AllClocks() {
		_, settled := a.settled(c, w.Get(c))
		if w.Get(c).Setting.Reads() && !settled && i.applied(c, o.Get(c)) {
			o = o.With(c, i.Current.Get(c))
		}
	}
	keep := a.toKeep(w, o)
	if o == i.Current && (i.Private || o == a.Host.Own) {
		return Plan{Reason: "the container already has the clocks asked for", Resolved: keep}, nil
	}
	if i.Kernel.ExecSwitch != nil && i.Threads > 1 {
		return Plan{}, &UnsupportedError{
			fmt.Sprintf("the container's waiting init has %d threads and cannot be moved on this kernel", i.Threads), i.Kernel.ExecSwitch}
	}
	return Plan{Mechanism: Remote, Offsets: o, Reason: "the container's init waits and gets its own time namespace", Resolved: keep, Warnings: a.stepped(w)}, nil
}

// applied reports whether clock c was set, a moment ago, to read what resolves
// to v now: by the shim's edit of config.json, which runtimes with native support
// have acted on. The clock has gone on since, so the offset that would make it
// read the same again is a little lower.
func (i Init) applied(c timens.Clock, v timens.Offset) bool {
	if !i.Private || !i.Spec.Listed[c] || i.Current.Get(c) != i.Spec.Offsets.Get(c) {
		return false
	}
	since, err := i.Current.Get(c).Sub(v)
	return err == nil && since.Compare(timens.OffsetOf(-clockTick)) >= 0 && since.Compare(timens.OffsetOf(startTime)) <= 0
}
