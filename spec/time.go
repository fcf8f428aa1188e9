package spec

import (
	"encoding/json"
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/timens"
)

// TimeSpec is what a config.json says about time namespaces.
type TimeSpec struct {
	Present bool   // linux.namespaces has an entry of type time
	Path    string // its path; "" for a new namespace
	Offsets timens.Offsets
	Listed  map[timens.Clock]bool // the clocks that linux.timeOffsets lists
}

// reads reports whether the offsets of both clocks are listed, and are o.
func (t TimeSpec) reads(o timens.Offsets) bool {
	return t.Offsets == o && t.Listed[timens.Monotonic] && t.Listed[timens.Boottime]
}

// ReadTime returns what the config.json in a bundle says about time namespaces, as
// Time does. Mostly that is nothing, and then the file is not parsed.
func ReadTime(bundle string) (TimeSpec, error) {
	f, text, err := OpenText(bundle, "config.json")
	if err != nil {
		return TimeSpec{}, err
	}
	defer f.Close()
	if !mentions(text, `"time`) { // the type, and timeOffsets
		return TimeSpec{}, nil
	}
	d, err := f.Parse(text)
	if err != nil {
		return TimeSpec{}, err
	}
	return d.Time()
}

// Time returns what the document says about time namespaces. It refuses what no
// runtime takes: two entries, offsets for a namespace that is joined by its
// path, clocks other than monotonic and boottime, nanosecs out of range.
// Offsets without an entry are refused by runtimes too, but SetTime mends them.
func (d *Document) Time() (TimeSpec, error) {
	present, path, err := d.Namespace(string(specs.TimeNamespace))
	if err != nil {
		return TimeSpec{}, err
	}
	t := TimeSpec{Present: present, Path: path}
	if t.Offsets, t.Listed, err = d.offsets("linux", "timeOffsets"); err != nil {
		return TimeSpec{}, err
	}
	if path != "" && len(t.Listed) > 0 {
		return TimeSpec{}, fmt.Errorf("%s: linux.timeOffsets is set, but the time namespace is joined by its path %q, which fixes its offsets: remove one of the two",
			d.name, brief(path))
	}
	return t, nil
}

// offsets reads an object of clocks and their offsets, as linux.timeOffsets is.
func (d *Document) offsets(path ...string) (o timens.Offsets, listed map[timens.Clock]bool, err error) {
	list, err := d.list(anObject, path...)
	if err != nil || len(list) == 0 {
		return o, nil, err
	}
	listed = make(map[timens.Clock]bool, len(list))
	for _, m := range list {
		clock, err := timens.ParseClock(brief(m.key))
		if err != nil {
			return o, nil, fmt.Errorf("%s: %s: %w", d.name, strings.Join(path, "."), err)
		}
		v, err := d.offset(append(path[:len(path):len(path)], m.key)...)
		if err != nil {
			return o, nil, err
		}
		listed[clock] = true
		o = o.With(clock, v)
	}
	return o, listed, nil
}

// offset reads one of these clocks. A number that is absent is 0.
func (d *Document) offset(path ...string) (timens.Offset, error) {
	var v [2]int64
	for i, key := range []string{"secs", "nanosecs"} {
		at := append(path[:len(path):len(path)], key)
		raw, ok, err := d.Get(at...)
		if err != nil {
			return timens.Offset{}, err
		}
		if !ok {
			continue
		}
		if err := decode(raw, &v[i], strings.Join(at, ".")); err != nil {
			return timens.Offset{}, fmt.Errorf("%s: %w", d.name, err)
		}
	}
	o, err := timens.NewOffset(v[0], v[1])
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", d.name, strings.Join(path, "."), err)
	}
	return o, err
}

// SetTime makes the document ask for a new time namespace with the given offsets
// of both clocks. An entry of type time without a path is kept as it is, because
// runtimes refuse a second one. One with a path is refused: the offsets of a
// namespace that exists are fixed. What an earlier SetTime wrote is replaced; a
// mark says what this one has written, if anything: see UndoTime.
func (d *Document) SetTime(o timens.Offsets) error {
	saved := d.data
	if err := d.setTime(o); err != nil {
		d.data = saved
		return err
	}
	return nil
}

func (d *Document) setTime(o timens.Offsets) error {
	t, err := d.Time()
	if err != nil {
		return err
	}
	if t.Present && t.reads(o) {
		return nil
	}
	if err := d.UndoTime(); err != nil {
		return err
	}
	if t, err = d.Time(); err != nil {
		return err
	}
	if t.Path != "" {
		return fmt.Errorf("%s: the container joins the time namespace %q, and the offsets of an existing one are fixed: remove this path from linux.namespaces, or ask for no clocks",
			d.name, brief(t.Path))
	}
	if err := d.setMark(o, !t.Present); err != nil {
		return err
	}
	if !t.Present {
		entry := json.RawMessage(`{"type":"time"}`)
		if err := d.Append(entry, "linux", "namespaces"); err != nil {
			return err
		}
	}
	if _, present, err := d.Get("linux", "timeOffsets"); err != nil || !present {
		if err == nil {
			err = d.Set(offsetsText(o, true), "linux", "timeOffsets")
		}
		return err
	}
	for _, c := range timens.AllClocks() {
		v := o.Get(c)
		// Both numbers are written even when they are 0, and each by itself, so
		// that what else an entry may hold stays.
		if err := d.Set(v.Seconds(), "linux", "timeOffsets", c.String(), "secs"); err != nil {
			return err
		}
		if err := d.Set(v.Nanoseconds(), "linux", "timeOffsets", c.String(), "nanosecs"); err != nil {
			return err
		}
	}
	return nil
}
