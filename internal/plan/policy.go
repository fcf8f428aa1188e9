package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

// DeniedError says that the configuration of this host does not let the
// container have what it asks for.
type DeniedError struct {
	Source, Value string // what was asked, as in spec.Asked
	Reason        string
}

// Error names what was asked, and the key of the configuration that denies it.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("%s: %q is denied by the configuration of this host: %s", e.Source, e.Value, e.Reason)
}

// UnsupportedError says that this host, or the low-level runtime, cannot give
// the container its clocks.
type UnsupportedError struct {
	Reason string
	Err    error // the cause, or nil
}

// Error is the reason with its cause.
func (e *UnsupportedError) Error() string {
	msg := "this host cannot give the container its clocks: " + e.Reason
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap returns the cause.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// wish is what is to be given: the container's request or, when it is empty, the
// defaults of the host, which are not bound by what containers may ask for.
type wish struct {
	spec.Request
	isDefault bool
}

func (a Ask) wish() wish {
	if a.Request.AsksClocks() {
		return wish{Request: a.Request}
	}
	asked := func(c timens.Clock) spec.Asked {
		s := a.Config.Defaults.Get(c)
		if s.IsZero() {
			return spec.Asked{}
		}
		return spec.Asked{Setting: s, Source: fmt.Sprintf("configuration key %q", "defaults."+c.String()), Value: s.String()}
	}
	return wish{spec.Request{Monotonic: asked(timens.Monotonic), Boottime: asked(timens.Boottime), Save: a.Request.Save}, true}
}

// first returns the first thing that is asked.
func (w wish) first() spec.Asked {
	switch {
	case w.isDefault && w.Save != "":
		return w.save()
	case !w.Monotonic.Setting.IsZero():
		return w.Monotonic
	case w.Boottime.Setting.IsZero() && w.Saved.Name != "":
		return w.Saved.Asked
	}
	return w.Boottime
}

// save returns that the clocks are to be kept.
func (w wish) save() spec.Asked {
	return spec.Asked{Source: fmt.Sprintf("annotation %q", spec.KeySave), Value: w.Save}
}

// allowed checks everything that does not depend on the offsets.
func (a Ask) allowed(w wish) error {
	if (!w.isDefault || w.Save != "") && !a.Granted {
		if reason := mayNotAsk(a.Config.Policy, a.Annotations); reason != "" {
			f := w.first()
			return &DeniedError{f.Source, f.Value, reason}
		}
	}
	if w.Save != "" && a.Config.Policy.MaxSaved == 0 {
		f := w.save()
		return &DeniedError{f.Source, f.Value, "policy.max-saved is 0"}
	}
	for _, c := range timens.AllClocks() {
		if asked := w.Get(c); !asked.Setting.IsZero() && !a.Config.Policy.Allows(c) {
			return &DeniedError{asked.Source, asked.Value, fmt.Sprintf("policy.clocks does not list %v", c)}
		}
	}
	return nil
}

// mayNotAsk applies the rules: those that deny, then those that allow.
func mayNotAsk(p config.Policy, annotations map[string]string) string {
	keys := slices.Sorted(maps.Keys(annotations))
	for i, r := range p.Deny {
		for _, k := range keys {
			if r.Match(k, annotations[k]) {
				// Of another's annotation, which may be of any length, the beginning is enough.
				return fmt.Sprintf("annotation %.256q: %.256q matches rule %d of policy.deny", k, annotations[k], i+1)
			}
		}
	}
	for _, r := range p.Allow {
		for _, k := range keys {
			if r.Match(k, annotations[k]) {
				return ""
			}
		}
	}
	if len(p.Allow) > 0 {
		return "no annotation of the container matches a rule of policy.allow"
	}
	return ""
}

// offsets resolves w. Clocks that nothing is asked of keep what base has.
func (a Ask) offsets(w wish, base timens.Offsets) (timens.Offsets, error) {
	out := base
	if w.Saved.Name != "" {
		return out, fmt.Errorf("%s: what was saved as %q has not been looked up", w.Saved.Source, w.Saved.Name)
	}
	for _, c := range timens.AllClocks() {
		asked := w.Get(c)
		if asked.Setting.IsZero() {
			continue
		}
		v, err := a.resolve(c, asked)
		if err != nil {
			return out, fmt.Errorf("%s: %q: %w", asked.Source, asked.Value, err)
		}
		if !w.isDefault {
			if err := a.inBounds(c, v, asked); err != nil {
				return out, err
			}
		}
		out = out.With(c, v)
	}
	return out, a.inKernelRange(w, out)
}

// inBounds checks the offset of c against the policy. What bounds is the
// distance to the clock that this host's users see, not the kernel's number.
func (a Ask) inBounds(c timens.Clock, v timens.Offset, asked spec.Asked) error {
	d, err := v.Sub(a.Host.Own.Get(c))
	if err != nil {
		return fmt.Errorf("%s: %q: %w", asked.Source, asked.Value, err)
	}
	p := a.Config.Policy
	reason := ""
	switch {
	case p.MinOffset != nil && d.Compare(*p.MinOffset) < 0:
		reason = fmt.Sprintf("the offset %v is below policy.min-offset %v", d, *p.MinOffset)
	case p.MaxOffset != nil && d.Compare(*p.MaxOffset) > 0:
		reason = fmt.Sprintf("the offset %v is above policy.max-offset %v", d, *p.MaxOffset)
	default:
		return nil
	}
	return &DeniedError{asked.Source, asked.Value, reason}
}

func (a Ask) inKernelRange(w wish, o timens.Offsets) error {
	for _, c := range timens.AllClocks() {
		if _, settled := a.settled(c, w.Get(c)); settled {
			// Others of the pod run with it, perhaps since after a.Host was read: with
			// that, it may be below zero.
			o = o.With(c, a.Host.Own.Get(c))
		}
	}
	err := o.Check(a.Host.Clocks)
	var r *timens.RangeError
	if !errors.As(err, &r) {
		return err
	}
	if asked := w.Get(r.Clock); !asked.Setting.IsZero() {
		return fmt.Errorf("%s: %q: %w", asked.Source, asked.Value, err)
	}
	return fmt.Errorf("the %v clock that the container has without asking: %w", r.Clock, err)
}

// stepped warns of a snapshot since which no time seems to have passed.
func (a Ask) stepped(w wish) []string {
	s, resumes := w.Boottime.Setting.Resumes()
	if !resumes {
		return nil
	}
	if _, stepped, err := s.Gap(a.Host); err != nil || !stepped {
		return nil
	}
	return []string{w.Boottime.Source + ": the snapshot was taken on another boot or host, and later than now by this host's wall clock: CLOCK_BOOTTIME goes on as if no time had passed since"}
}

// react turns a refusal into what the configuration says about refusals: an
// error, or the plan of a container that asks for nothing with a warning. obeyed tells
// that the runtime may have done, or may do by itself, what [spec.KeyCrun] says: crun up
// to 1.8.3 does, where config.json asks for a time namespace (src/libcrun/linux.c). Then
// there is no ignoring it.
func (a Ask) react(err error, obeyed bool, again func(Ask) (Plan, error)) (Plan, error) {
	key, reaction := "", config.Fail
	var denied *DeniedError
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &denied):
		key, reaction = "on-denied", a.Config.Policy.OnDenied
	case errors.As(err, &unsupported):
		key, reaction = "on-unsupported", a.Config.Policy.OnUnsupported
	}
	if reaction != config.Ignore {
		return Plan{}, err
	}
	if _, asked := a.Annotations[spec.KeyCrun]; asked && obeyed {
		return Plan{}, fmt.Errorf("%w; this is not ignored, as policy.%s says, because crun itself obeys annotation %q: remove that", err, key, spec.KeyCrun)
	}
	p := Plan{Reason: "what is asked for is ignored, as policy." + key + " says"}
	if !a.Request.IsZero() {
		// It gets what it would have had without asking, and that may be defaults.
		a.Request = spec.Request{}
		if p, err2 := again(a); err2 == nil && p.Mechanism != PassThrough {
			p.Warnings = append([]string{warning(err, key)}, p.Warnings...)
			return p, nil
		} else if err2 != nil {
			return Plan{}, err2
		}
	}
	p.Warnings = []string{warning(err, key)}
	return p, nil
}

func warning(err error, key string) string {
	return fmt.Sprintf("%v; ignored, as policy.%s says: the container starts with other clocks", err, key)
}
