package timens

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SnapshotPrefix begins the text of every Snapshot, and of nothing else that an
// annotation may say.
const SnapshotPrefix = "v1:"

// maxSnapshot is longer than any text of a Snapshot.
const maxSnapshot = 512

// snapshotFields are in the order in which they are written. All are seconds, but for
// the boot ID.
var snapshotFields = [...]string{"monotonic", "boottime", "realtime", "host-boottime", "boot-id", "interval"}

// String returns the form that ParseSnapshot reads back, in one word that shells,
// annotations and YAML take as it is, but for the colons that YAML wants quoted:
//
//	v1:monotonic=12.000000001:boottime=20.5:realtime=1767225600:host-boottime=99.25:boot-id=UUID
//
// with ":interval=10" where one is set. Numbers are seconds, exact to the nanosecond.
func (s Snapshot) String() string {
	text := []byte(SnapshotPrefix)
	for i, name := range snapshotFields {
		if name == "interval" && s.Interval == 0 {
			continue
		}
		if i > 0 {
			text = append(text, ':')
		}
		text = append(append(text, name...), '=')
		if name == "boot-id" {
			text = append(text, s.Wall.BootID...)
			continue
		}
		text = appendSeconds(text, *s.field(name))
	}
	return string(text)
}

func (s *Snapshot) field(name string) *time.Duration {
	switch name {
	case "monotonic":
		return &s.Clocks.Monotonic
	case "boottime":
		return &s.Clocks.Boottime
	case "realtime":
		return &s.Wall.Realtime
	case "host-boottime":
		return &s.Wall.Boottime
	}
	return &s.Interval
}

// appendSeconds writes a duration that is not below zero.
func appendSeconds(text []byte, d time.Duration) []byte {
	text = strconv.AppendInt(text, int64(d/time.Second), 10)
	if frac := d % time.Second; frac > 0 {
		text = append(text, strings.TrimRight(fmt.Sprintf(".%09d", frac), "0")...)
	}
	return text
}

// ParseSnapshot reads what Snapshot.String writes; fields may be in any order. Errors are
// *ParseError.
func ParseSnapshot(text string) (s Snapshot, err error) {
	p := parser{in: text}
	rest, ok := strings.CutPrefix(text, SnapshotPrefix)
	switch {
	case !ok:
		return s, p.fail(0, "no snapshot of clocks: one begins with %q, as timensctl snapshot prints it,", SnapshotPrefix)
	case len(text) > maxSnapshot:
		return s, p.fail(maxSnapshot, "a snapshot is shorter than %d bytes: text", maxSnapshot)
	}
	p.pos = len(SnapshotPrefix)
	seen := map[string]bool{}
	for field := range strings.SplitSeq(rest, ":") {
		name, value, _ := strings.Cut(field, "=")
		if err := p.snapshotField(&s, seen, name, value); err != nil {
			return Snapshot{}, err
		}
		p.pos += len(field) + 1
	}
	for _, name := range snapshotFields {
		if !seen[name] && name != "interval" {
			return Snapshot{}, p.fail(len(text), "the field %q is missing", name)
		}
	}
	if err := s.check(); err != nil {
		return Snapshot{}, p.fail(0, "%v", err)
	}
	return s, nil
}

func (p *parser) snapshotField(s *Snapshot, seen map[string]bool, name, value string) error {
	known := false
	for _, n := range snapshotFields {
		known = known || n == name
	}
	if !known {
		return p.fail(p.pos, "unknown field %q of a snapshot", name)
	}
	if seen[name] {
		return p.fail(p.pos, "the field %q for the second time", name)
	}
	seen[name] = true
	at := p.pos + len(name) + 1
	if name == "boot-id" {
		if !isBootID(value) {
			return p.fail(at, "no boot ID, which is 36 hexadecimal digits and dashes as in /proc/sys/kernel/random/boot_id,")
		}
		s.Wall.BootID = value
		return nil
	}
	d, ok := parseSeconds(value)
	if !ok {
		return p.fail(at, "no number of seconds, up to 9223372036 and with at most 9 digits behind the point,")
	}
	*s.field(name) = d
	return nil
}

// parseSeconds reads digits, which a point and up to nine more may follow.
func parseSeconds(text string) (time.Duration, bool) {
	whole, frac, point := strings.Cut(text, ".")
	if !isDigits(whole) || point && !isDigits(frac) || len(frac) > 9 {
		return 0, false
	}
	secs, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || secs >= int64(maxDuration/time.Second) {
		return 0, false
	}
	nanos, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	return time.Duration(secs)*time.Second + time.Duration(nanos), err == nil
}

const maxDuration = time.Duration(1<<63 - 1)

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isBootID reports whether s is a UUID as the kernel prints it.
func isBootID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') ||
			!dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 36
}
