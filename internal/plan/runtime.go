package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// Runtime is a low-level runtime, such as "runc" and "1.5.2". Version is "" when
// it is not known.
type Runtime struct{ Name, Version string }

// String returns name and version.
func (r Runtime) String() string {
	if r.Version == "" {
		return r.Name + " of unknown version"
	}
	return r.Name + " " + r.Version
}

// natives are the first versions whose own support of linux.timeOffsets is
// complete: runc 1.2.0 to 1.2.5 have it but cannot exec into the container
// (runc's CHANGELOG, 1.2.6), youki has it from 0.7.0. crun sets offsets too, but
// with holes in every version to date: see notNative.
var natives = []struct {
	name  string
	since [3]int
}{
	{"runc", [3]int{1, 2, 6}},
	{"youki", [3]int{0, 7, 0}},
}

// Native reports whether r is known to set offsets well by itself, so that
// config.json is all that has to change.
func (r Runtime) Native() bool {
	v, pre, ok := parseVersion(r.Version)
	if !ok {
		return false
	}
	for _, n := range natives {
		if n.name == r.Name {
			c := compare(v, n.since)
			return c > 0 || c == 0 && !pre
		}
	}
	return false
}

// TakesTimeEntry reports whether r starts a container for which config.json asks
// for a new time namespace, as Docker does since 29.5. runc before 1.2.0 knows no
// such type; crun 1.8.1 loses its init with it in a new pid namespace, and no
// later version is known to need it where a hook makes one.
func (r Runtime) TakesTimeEntry() bool {
	if r.Name == "crun" {
		return false
	}
	v, _, ok := parseVersion(r.Version)
	return r.Name != "runc" || !ok || compare(v, [3]int{1, 2, 0}) >= 0
}

// Least returns the one of several runtimes, any of which may be started, that
// leaves the least to choose from: what is right for it is right for all, or
// refused by the hook. crun is the first of these, then any other that does not set
// offsets well by itself.
func Least(all []Runtime) Runtime {
	least := all[0]
	for _, r := range all {
		if r.Name == "crun" {
			return r
		}
		if least.Native() && !r.Native() {
			least = r
		}
	}
	return least
}

// notNative says why r does not do it alone.
func (b Bundle) notNative() string {
	switch {
	case b.Runtime.Name == "crun" && b.NewUser:
		return fmt.Sprintf("%v cannot set time offsets in a new user namespace", b.Runtime)
	case b.Runtime.Name == "crun" && !b.NewPID:
		return fmt.Sprintf("%v sets no time offsets without a new pid namespace", b.Runtime)
	case b.Runtime.Name == "crun":
		return fmt.Sprintf("%v sets time offsets, but not with every kind of container", b.Runtime)
	}
	for _, n := range natives {
		if n.name == b.Runtime.Name {
			return fmt.Sprintf("%v cannot set time offsets well by itself, %s %d.%d.%d and later can", b.Runtime, n.name, n.since[0], n.since[1], n.since[2])
		}
	}
	return fmt.Sprintf("nothing is known of time offsets in %v", b.Runtime)
}

// parseVersion reads "1.5.2", "1.1.5+ds1" or "1.5.0-rc.1+dev" in the order of
// semantic versioning. pre tells that it comes before the version proper.
func parseVersion(s string) (v [3]int, pre, ok bool) {
	s, _, _ = strings.Cut(s, "+")
	s, _, pre = strings.Cut(s, "-")
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return v, false, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return v, false, false
		}
		v[i] = n
	}
	return v, pre, true
}

func compare(a, b [3]int) int {
	for i := range a {
		if a[i] != b[i] {
			return a[i] - b[i]
		}
	}
	return 0
}
