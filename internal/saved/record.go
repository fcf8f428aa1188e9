package saved

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"oci-timens/timens"
)

// record is what is kept under one name.
type record struct {
	// snapshot is of when the record was written.
	snapshot timens.Snapshot
	// offsets gave these clocks, for as long as that boot of the host lasts.
	offsets timens.Offsets
	// users have them, and were not seen to end.
	users []User
	// ended is the last one that was.
	ended string
}

// maxUsers is how many containers can keep their clocks under one name at once.
const maxUsers = 64

// The text of a record, between a first line that says what it is, and a last that says
// that it is whole:
//
//	snapshot v1:…
//	offset monotonic 3600 0
//	offset boottime -1 500000000
//	user 4711 1234567 "ID"
//	ended "ID"
const (
	firstLine = "oci-timens saved 1"
	lastLine  = "end"
	maxText   = 1024 + 1024*maxUsers
)

func (r record) String() string {
	lines := []string{firstLine, "snapshot " + r.snapshot.String()}
	for _, c := range timens.AllClocks() {
		v := r.offsets.Get(c)
		lines = append(lines, fmt.Sprintf("offset %v %d %d", c, v.Seconds(), v.Nanoseconds()))
	}
	for _, u := range r.users {
		lines = append(lines, fmt.Sprintf("user %d %d %q", u.PID, u.StartTicks, u.ID))
	}
	if r.ended != "" {
		lines = append(lines, fmt.Sprintf("ended %q", r.ended))
	}
	return strings.Join(append(lines, lastLine, ""), "\n")
}

func parse(text string) (r record, err error) {
	if len(text) > maxText {
		return r, fmt.Errorf("it is longer than %d bytes", maxText)
	}
	lines := strings.Split(text, "\n")
	if n := len(lines); n < 3 || lines[0] != firstLine || lines[n-2] != lastLine || lines[n-1] != "" {
		return r, errors.New("it is no snapshot of clocks, or not a whole one")
	}
	seen := map[string]int{}
	for i, line := range lines[1 : len(lines)-2] {
		key, value, _ := strings.Cut(line, " ")
		seen[key]++
		if err := r.parseLine(key, value); err != nil {
			return r, fmt.Errorf("line %d %q: %w", i+2, line, err)
		}
	}
	if seen["snapshot"] != 1 || seen["offset"] != 2 || seen["ended"] > 1 || seen["user"] > maxUsers {
		return r, errors.New("it has too few or too many lines of a kind")
	}
	return r, nil
}

func (r *record) parseLine(key, value string) (err error) {
	switch key {
	case "snapshot":
		r.snapshot, err = timens.ParseSnapshot(value)
	case "offset":
		var o timens.Offsets
		var listed map[timens.Clock]bool
		o, listed, err = timens.ParseKernelText(value)
		for c := range listed {
			r.offsets = r.offsets.With(c, o.Get(c))
		}
	case "user":
		f := strings.SplitN(value, " ", 3)
		if len(f) != 3 {
			return errors.New(`want user PID START "ID"`)
		}
		var u User
		var err1, err2, err3 error
		u.PID, err1 = strconv.Atoi(f[0])
		u.StartTicks, err2 = strconv.ParseUint(f[1], 10, 64)
		u.ID, err3 = strconv.Unquote(f[2])
		r.users, err = append(r.users, u), errors.Join(err1, err2, err3)
	case "ended":
		r.ended, err = strconv.Unquote(value)
	default:
		err = errors.New("unknown key")
	}
	return err
}

// at is what a container that starts on h goes on from.
func (r record) at(h timens.Host) (s timens.Snapshot, err error) {
	if r.goesOn(h) {
		return timens.TakeSnapshot(r.offsets, h)
	}
	s = r.snapshot
	if len(r.users) > 0 && s.Interval == 0 {
		s.Interval, _, err = s.Gap(h)
	}
	return s, err
}

// goesOn reports whether somebody was not seen to end for whom the offsets still hold.
func (r record) goesOn(h timens.Host) bool {
	return len(r.users) > 0 && r.snapshot.Wall.BootID == h.Wall.BootID
}

// note remarks that nobody has seen the container end that s is of.
func (r record) note(path string, s timens.Snapshot, h timens.Host) string {
	if len(r.users) == 0 || r.inUse(h) {
		return ""
	}
	until := "until now"
	if s.Interval > 0 {
		until = fmt.Sprintf("for %v after that was written", s.Interval)
	}
	return fmt.Sprintf("%s is of container %q, which was not seen to end: its clocks go on as if it had run %s", path, r.users[0].ID, until)
}

// inUse reports whether a container runs that has the clocks.
func (r record) inUse(h timens.Host) bool {
	return r.snapshot.Wall.BootID == h.Wall.BootID &&
		slices.ContainsFunc(r.users, func(u User) bool { return timens.Runs(u.PID, u.StartTicks) })
}
