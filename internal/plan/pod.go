package plan

import (
	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

// Pod is what a container of a pod shares its clocks with: all of them have one set,
// as they have one network.
//
//   - Where the sandbox is shifted, its offsets are the pod's, whatever a container's
//     setting would be resolved to now, and whatever its annotations have become since.
//   - Where it is not, as podman gives its annotations to the other containers alone,
//     the first container that asks for a clock to read something settles the offset for
//     all that ask for the same. Those that ask for an offset need no such agreement.
//   - What one container asks for itself (spec.Asked.Alone) is its own.
type Pod struct {
	Sandbox timens.Offsets // of the sandbox's time namespace
	Kept    map[Reading]timens.Offset
}

// Reading is what a clock is asked to read.
type Reading struct {
	Clock   timens.Clock
	Setting timens.Setting
}

// Resolved is a Reading and the offset that it was given.
type Resolved struct {
	Reading
	Offset timens.Offset
}

// sandbox returns the offsets of the pod's sandbox, where it is shifted.
func (a Ask) sandbox() (timens.Offsets, bool) {
	if a.Pod == nil || a.Pod.Sandbox == a.Host.Own {
		return timens.Offsets{}, false
	}
	return a.Pod.Sandbox, true
}

// base returns the offsets that the container would have without us.
func (a Ask) base() timens.Offsets {
	if o, shifted := a.sandbox(); shifted {
		return o
	}
	return a.Host.Own
}

// NeedsKept reports whether a plan may depend on Pod.Kept, once Pod.Sandbox is known.
func (a Ask) NeedsKept() bool {
	if _, shifted := a.sandbox(); shifted || a.Pod == nil {
		return false
	}
	p := a.Config.Policy
	mayIgnore := p.OnDenied == config.Ignore || p.OnUnsupported == config.Ignore
	if !a.Request.IsZero() && mayIgnore { // it may come to the defaults
		without := a
		without.Request = spec.Request{}
		if without.NeedsKept() {
			return true
		}
	}
	w := a.wish()
	return sharesReading(w.Monotonic) || sharesReading(w.Boottime)
}

func sharesReading(asked spec.Asked) bool { return asked.Setting.Reads() && !asked.Alone }

// settled returns what the pod already has for a clock.
func (a Ask) settled(c timens.Clock, asked spec.Asked) (v timens.Offset, ok bool) {
	if a.Pod == nil || asked.Alone {
		return v, false
	}
	if o, shifted := a.sandbox(); shifted {
		return o.Get(c), true
	}
	v, ok = a.Pod.Kept[Reading{c, asked.Setting}]
	return v, ok && asked.Setting.Reads()
}

// resolve returns the offset that one clock is to have.
func (a Ask) resolve(c timens.Clock, asked spec.Asked) (timens.Offset, error) {
	if v, ok := a.settled(c, asked); ok {
		return v, nil
	}
	return asked.Setting.Resolve(c, a.Host)
}

// toKeep lists the readings in w that nobody in the pod had resolved before.
func (a Ask) toKeep(w wish, o timens.Offsets) (list []Resolved) {
	for _, c := range timens.AllClocks() {
		asked := w.Get(c)
		if _, settled := a.settled(c, asked); a.Pod != nil && !settled && sharesReading(asked) {
			list = append(list, Resolved{Reading{c, asked.Setting}, o.Get(c)})
		}
	}
	return list
}
