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
	// Notes are remarks for the log that refuse nothing, such as a deprecation.
	Notes []string
}

// IsZero reports whether nothing is asked of either clock.
func (r Request) IsZero() bool {
	return r.Monotonic.Setting.IsZero() && r.Boottime.Setting.IsZero()
}

// Get returns what is asked of one clock.
func (r Request) Get(c timens.Clock) Asked {
	if c == timens.Boottime {
		return r.Boottime
	}
	return r.Monotonic
}
