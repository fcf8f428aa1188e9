package pod

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"oci-timens/internal/plan"
	"oci-timens/timens"
)

// record names the record of a pod: by its ID, and by the process that is its sandbox,
// with which it ends. A pod that is restarted keeps its ID, and gets another sandbox.
// Without a pid it is one that ends when somebody is told so: see [DecideByID].
type record struct {
	id    string
	pid   int
	start uint64 // timens.Sandbox.StartTicks
}

func (r record) name() string {
	if r.pid == 0 {
		return r.id
	}
	return fmt.Sprintf("%s.%d.%d", r.id, r.pid, r.start)
}

// folder keeps the two kinds apart, as each is removed in another way.
func (r record) folder() string {
	if r.pid == 0 {
		return byID
	}
	return "pods"
}

const byID = "pods-by-id"

func (r record) timeout() time.Duration {
	if r.pid == 0 {
		return lockTimeoutByID
	}
	return lockTimeout
}

func parseName(name string) (r record, ok bool) {
	rest, start, ok1 := cutLast(name)
	id, pid, ok2 := cutLast(rest)
	var err1, err2 error
	r.id = id
	r.start, err1 = strconv.ParseUint(start, 10, 64)
	r.pid, err2 = strconv.Atoi(pid)
	return r, ok1 && ok2 && err1 == nil && err2 == nil && r.pid > 0
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// The text of a record: a line for each reading, as "boottime =0 -345600 500000000",
// between a first line that says what it is, and a last that says that it is whole.
const (
	firstLine = "oci-timens pod 1"
	lastLine  = "end"
	maxText   = 384 * maxKept
)

func format(kept map[plan.Reading]timens.Offset) string {
	lines := []string{firstLine}
	for _, r := range slices.SortedFunc(maps.Keys(kept), func(a, b plan.Reading) int {
		return cmp.Or(cmp.Compare(a.Clock, b.Clock), a.Setting.Value().Compare(b.Setting.Value()), cmp.Compare(a.Setting.String(), b.Setting.String()))
	}) {
		v := kept[r]
		lines = append(lines, fmt.Sprintf("%v %v %d %d", r.Clock, r.Setting, v.Seconds(), v.Nanoseconds()))
	}
	return strings.Join(append(lines, lastLine, ""), "\n")
}

func parse(text string) (map[plan.Reading]timens.Offset, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("it is longer than %d bytes", maxText)
	}
	lines := strings.Split(text, "\n")
	if n := len(lines); n < 3 || lines[0] != firstLine || lines[n-2] != lastLine || lines[n-1] != "" {
		return nil, errors.New("it is no record of a pod's clocks, or not a whole one")
	}
	kept := map[plan.Reading]timens.Offset{}
	for i, line := range lines[1 : len(lines)-2] {
		r, v, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d %q: %w", i+2, line, err)
		}
		kept[r] = v
	}
	return kept, nil
}

// parseReading reads what Setting.String has written.
func parseReading(text string) (timens.Setting, error) {
	if !strings.HasPrefix(text, timens.SnapshotPrefix) {
		return timens.ParseSetting(text)
	}
	s, err := timens.ParseSnapshot(text)
	return timens.ResumeSetting(s), err
}

func parseLine(line string) (r plan.Reading, v timens.Offset, err error) {
	f := strings.Split(line, " ")
	if len(f) != 4 {
		return r, v, errors.New(`want "clock =reading seconds nanoseconds"`)
	}
	if r.Clock, err = timens.ParseClock(f[0]); err != nil {
		return r, v, err
	}
	if r.Setting, err = parseReading(f[1]); err != nil {
		return r, v, err
	}
	secs, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return r, v, err
	}
	nanos, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil {
		return r, v, err
	}
	v, err = timens.NewOffset(secs, nanos)
	return r, v, err
}
