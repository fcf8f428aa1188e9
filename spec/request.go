package spec

import "oci-timens/timens"

// Asked is what was asked of one clock, and where. The zero value asks for
// nothing.
type Asked struct {
	Setting timens.Setting
	Source  string // for messages, such as `annotation "io.timens.boottime"`
	Value   string // the text as given there
	// Alone is set where one container of a pod asks for itself, by
	// KEY/container.NAME, and not for its pod.
	Alone bool
}

// Request is what a container asks for. The zero value asks for nothing.
type Request struct {
	Monotonic Asked
	Boottime  Asked
	// Saved is set where both clocks are to go on from a snapshot that is kept on this
	// host, which whoever can read it then puts into Monotonic and Boottime: see Resume.
	Saved Saved
	// Save is the name under which a snapshot of the clocks is to be kept when the
	// container has ended, "" for none. In Kubernetes it is "NAMESPACE/NAME".
	Save string
	// Notes are remarks for the log that refuse nothing, such as a deprecation.
	Notes []string
}

// Saved names a snapshot that was kept under the name that an annotation gave it. The
// zero value is none.
type Saved struct {
	Name string // as Request.Save
	// OrNew says that where nothing was kept under that name, the container gets what
	// it asks for beside.
	OrNew bool
	// Clocks are those that go on from it: others are asked for by a more specific key.
	Clocks []timens.Clock
	Asked  // its Setting is not known yet
}

// IsZero reports whether nothing is asked.
func (r Request) IsZero() bool { return !r.AsksClocks() && r.Save == "" }

// AsksClocks reports whether the container asks for clocks, and not just that they be kept.
func (r Request) AsksClocks() bool {
	return !r.Monotonic.Setting.IsZero() || !r.Boottime.Setting.IsZero() || r.Saved.Name != ""
}

// Resumes reports whether a clock is to go on from a snapshot.
func (r Request) Resumes() bool {
	_, m := r.Monotonic.Setting.Resumes()
	_, b := r.Boottime.Setting.Resumes()
	return m || b || r.Saved.Name != ""
}

// Resume has the clocks go on from s, which was kept under r.Saved.Name.
func (r *Request) Resume(s timens.Snapshot) {
	r.GoOn(func(timens.Clock) timens.Setting { return timens.ResumeSetting(s) })
}

// GoOn has each clock that r.Saved is about be what of says.
func (r *Request) GoOn(of func(timens.Clock) timens.Setting) {
	for _, c := range r.Saved.Clocks {
		r.Saved.Setting = of(c)
		r.set(c, r.Saved.Asked)
	}
	r.Saved = Saved{}
}

func (r *Request) set(c timens.Clock, a Asked) {
	if c == timens.Boottime {
		r.Boottime = a
	} else {
		r.Monotonic = a
	}
}

// Get returns what is asked of one clock.
func (r Request) Get(c timens.Clock) Asked {
	if c == timens.Boottime {
		return r.Boottime
	}
	return r.Monotonic
}
