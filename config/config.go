// Package config is the host's configuration: which low-level runtimes to use,
// where to log, which clocks a container gets that asks for none, and who may
// ask for what. It is written in TOML by the host's administrator.
//
// Applying the policy does not belong here: a Config is a value, and the
// packages that decide are given it.
package config

import (
	"path"
	"strings"

	"oci-timens/timens"
)

// Config is the whole configuration. Values read by Load are complete and
// valid: what the files leave out has its default.
type Config struct {
	// Runtimes are names to look for in PATH, or absolute paths. The first one
	// found is the low-level runtime.
	Runtimes []string
	// LogLevel is "error", "warning", "info" or "debug".
	LogLevel string
	// LogFile is an absolute path, or "" for no log file.
	LogFile string
	// SavedDir is an absolute path of where snapshots of clocks are kept, or "" for the
	// usual folder of this user.
	SavedDir string
	Defaults Defaults
	Policy   Policy
}

// Defaults are the clock settings of containers that ask for nothing.
type Defaults struct {
	Monotonic, Boottime timens.Setting
}

// IsZero reports whether containers that ask for nothing get nothing.
func (d Defaults) IsZero() bool { return d == Defaults{} }

// Get returns the setting of one clock.
func (d Defaults) Get(c timens.Clock) timens.Setting {
	if c == timens.Boottime {
		return d.Boottime
	}
	return d.Monotonic
}

// Policy says what containers may ask for. It limits annotations, which come
// from people who need not be trusted; Defaults come from the administrator and
// are bound by Clocks alone.
type Policy struct {
	// Clocks are those that may be set.
	Clocks []timens.Clock
	// MinOffset and MaxOffset bound the offset to the host's clock, also where a
	// container asks for a reading ("=0"). nil is no bound.
	MinOffset, MaxOffset *timens.Offset
	// MaxSaved is how many snapshots may be kept for the pods of a Kubernetes namespace,
	// and how many for all other containers.
	MaxSaved int
	// A container that matches a rule of Deny may not ask. When Allow is not
	// empty, one that matches none of its rules may not either.
	Allow, Deny []Rule
	// OnDenied is what happens to a container that may not have what it asks for,
	// OnUnsupported where this host or its low-level runtime cannot do it.
	OnDenied, OnUnsupported Reaction
}

// Allows reports whether clock c may be set.
func (p Policy) Allows(c timens.Clock) bool {
	for _, a := range p.Clocks {
		if a == c {
			return true
		}
	}
	return false
}

// Rule matches a container by one of its annotations. Both fields are patterns
// of path.Match, except that "*" and "?" match "/" as well: "*" any text, "?"
// any character, "[a-z]" one of a range, and a backslash takes the next
// character as it is.
type Rule struct {
	Annotation string
	Value      string // "*" where the configuration leaves it out
}

// Match reports whether the annotation key with this value matches.
func (r Rule) Match(key, value string) bool {
	return match(r.Annotation, key) && match(r.Value, value)
}

// match is path.Match without its special treatment of "/", which is hidden
// from it in both texts. Patterns were checked when they were read.
func match(pattern, s string) bool {
	ok, err := path.Match(noSlash(pattern), noSlash(s))
	return ok && err == nil
}

func noSlash(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

// Reaction is what happens to a container whose wish is refused.
type Reaction string

const (
	// Fail keeps the container from starting.
	Fail Reaction = "fail"
	// Ignore starts it with the clocks it would have without asking, and logs a
	// warning.
	Ignore Reaction = "ignore"
)

// Default returns the configuration of a host without configuration files.
func Default() *Config {
	clocks := timens.AllClocks()
	return &Config{
		Runtimes: []string{"runc", "crun"},
		LogLevel: "info",
		Policy: Policy{
			Clocks:        clocks[:],
			MaxSaved:      256,
			OnDenied:      Fail,
			OnUnsupported: Fail,
		},
	}
}
