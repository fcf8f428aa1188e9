package spec

import (
	"bytes"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/timens"
)

// KeyApplied is a property at the top of config.json that says what SetTime
// wrote there, so that it can be undone when the bundle is used again:
//
//	{"timeOffsets":{"monotonic":{"secs":3600},"boottime":{}},"namespaceAdded":true,"before":{…}}
//
// timeOffsets is what was written; a number left out is 0. before is what
// linux.timeOffsets was, where it was there. Runtimes ignore properties that
// they do not know (runtime-spec, config.md, Extensibility). It is no annotation,
// because those come from people who need not be trusted.
const KeyApplied = "io.timens.applied"

// setMark notes that o is about to be written.
func (d *Document) setMark(o timens.Offsets, namespaceAdded bool) error {
	before, present, err := d.Get("linux", "timeOffsets")
	if err != nil {
		return err
	}
	mark := append(raw(`{"timeOffsets":`), offsetsText(o, false)...)
	if namespaceAdded {
		mark = append(mark, `,"namespaceAdded":true`...)
	}
	if present {
		text, err := compact(before)
		if err != nil {
			return err
		}
		mark = append(append(mark, `,"before":`...), text...)
	}
	return d.Set(append(mark, '}'), KeyApplied)
}

// offsetsText returns linux.timeOffsets, or what the mark has of it: numbers that are not 0.
func offsetsText(o timens.Offsets, zeros bool) (text raw) {
	for _, c := range timens.AllClocks() {
		var numbers raw
		for _, n := range []struct {
			key   string
			value int64
		}{{"secs", o.Get(c).Seconds()}, {"nanosecs", o.Get(c).Nanoseconds()}} {
			if n.value != 0 || zeros {
				numbers = strconv.AppendInt(append(numbers, `,"`+n.key+`":`...), n.value, 10)
			}
		}
		text = slices.Concat(text, raw(`,"`+c.String()+`":{`), bytes.TrimPrefix(numbers, raw(",")), raw("}"))
	}
	text[0] = '{' // for the comma
	return append(text, '}')
}

// marked returns the offsets in the mark, and whether there is one.
func (d *Document) marked() (o timens.Offsets, found bool, err error) {
	if _, found, err = d.Get(KeyApplied); !found || err != nil {
		return o, false, err
	}
	o, _, err = d.offsets(KeyApplied, "timeOffsets")
	return o, true, err
}

// UndoTime takes back what SetTime wrote. Offsets that are not those written are
// somebody else's by now, and stay. A document that SetTime has not edited is
// not changed.
func (d *Document) UndoTime() error {
	ours, found, err := d.marked()
	if err != nil || !found {
		return err
	}
	saved := d.data
	if err := d.undoTime(ours); err != nil {
		d.data = saved
		return err
	}
	return nil
}

func (d *Document) undoTime(ours timens.Offsets) error {
	t, err := d.Time()
	if err != nil {
		return err
	}
	if t.reads(ours) {
		if err := d.restore(); err != nil {
			return err
		}
	}
	return d.Remove(KeyApplied)
}

// restore does what the mark says was there before.
func (d *Document) restore() error {
	before, ok, err := d.Get(KeyApplied, "before")
	if err != nil {
		return err
	}
	if ok {
		err = d.Set(before, "linux", "timeOffsets")
	} else {
		err = d.Remove("linux", "timeOffsets")
	}
	if err != nil {
		return err
	}
	added, _, err := d.Get(KeyApplied, "namespaceAdded")
	if err != nil || string(added) != "true" {
		return err
	}
	return d.DropTimeNamespace()
}

// DropTimeNamespace removes the entry of type time from linux.namespaces, unless
// it has a path.
func (d *Document) DropTimeNamespace() error {
	i, path, err := d.namespaceEntry(string(specs.TimeNamespace))
	if err != nil || i < 0 || path != "" {
		return err
	}
	at := []string{"linux", "namespaces"}
	list, err := d.list(anArray, at...)
	if err != nil {
		return err
	}
	return d.cut(list, i, at)
}
