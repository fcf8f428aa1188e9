package spec

import (
	"encoding/json"

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

// mark is the value of KeyApplied.
type mark struct {
	TimeOffsets struct {
		Monotonic specs.LinuxTimeOffset `json:"monotonic"`
		Boottime  specs.LinuxTimeOffset `json:"boottime"`
	} `json:"timeOffsets"`
	NamespaceAdded bool            `json:"namespaceAdded,omitempty"`
	Before         json.RawMessage `json:"before,omitempty"`
}

// setMark notes that o is about to be written.
func (d *Document) setMark(o timens.Offsets, namespaceAdded bool) error {
	m := mark{NamespaceAdded: namespaceAdded}
	for c, to := range map[timens.Clock]*specs.LinuxTimeOffset{timens.Monotonic: &m.TimeOffsets.Monotonic, timens.Boottime: &m.TimeOffsets.Boottime} {
		v := o.Get(c)
		*to = specs.LinuxTimeOffset{Secs: v.Seconds(), Nanosecs: uint32(v.Nanoseconds())}
	}
	var err error
	if m.Before, _, err = d.Get("linux", "timeOffsets"); err != nil {
		return err
	}
	return d.Set(m, KeyApplied)
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
