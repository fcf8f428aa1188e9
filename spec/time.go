package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/timens"
)

// TimeSpec is what a config.json says about time namespaces.
type TimeSpec struct {
	Present bool   // linux.namespaces has an entry of type time
	Path    string // its path: "" is a new namespace
	Offsets timens.Offsets
	Listed  map[timens.Clock]bool // the clocks that linux.timeOffsets lists
}

// Annotations returns the annotations, nil when there are none.
func (d *Document) Annotations() (map[string]string, error) {
	raw, ok, err := d.Get("annotations")
	if err != nil || !ok {
		return nil, err
	}
	if raw[0] == '{' {
		seen := map[string]bool{}
		list, _ := items(raw, 0)
		for _, m := range list {
			if seen[m.key] {
				return nil, fmt.Errorf("%s: annotation %q appears twice: remove one", d.name, brief(m.key))
			}
			seen[m.key] = true
		}
	}
	var a map[string]string
	if err := decode(raw, &a, "annotations"); err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	return a, nil
}

// Namespace returns whether linux.namespaces has an entry of a type, such as
// "pid", and the path of the namespace to join, "" for a new one. Two entries of
// the type are an error, as they are to runtimes.
func (d *Document) Namespace(typ string) (present bool, path string, err error) {
	raw, ok, err := d.Get("linux", "namespaces")
	if err != nil || !ok || string(raw) == aNull {
		return false, "", err
	}
	if k := kindOf(raw[0]); k != anArray {
		return false, "", d.typeError([]string{"linux", "namespaces"}, k, anArray)
	}
	list, _ := items(raw, 0)
	for i, it := range list {
		// A small document of its own, so that its keys are checked as others are.
		entry := &Document{name: fmt.Sprintf("%s: linux.namespaces[%d]", d.name, i), data: raw[it.start:it.end]}
		t, p, err := entry.namespace()
		if err != nil {
			return false, "", err
		}
		if t != typ {
			continue
		}
		if present {
			return false, "", fmt.Errorf("%s: linux.namespaces has two entries of type %q: remove one", d.name, typ)
		}
		present, path = true, p
	}
	return present, path, nil
}

// namespace reads one entry of linux.namespaces.
func (d *Document) namespace() (typ, path string, err error) {
	if k := kindOf(d.data[0]); k != anObject {
		return "", "", fmt.Errorf("%s is %s, where %s is needed", d.name, k, anObject)
	}
	for key, to := range map[string]*string{"type": &typ, "path": &path} {
		raw, ok, e := d.Get(key)
		if e == nil && ok {
			if e = decode(raw, to, key); e != nil {
				e = fmt.Errorf("%s: %w", d.name, e)
			}
		}
		err = errors.Join(err, e)
	}
	return typ, path, err
}

// Time returns what the document says about time namespaces. It refuses what no
// runtime takes: two entries, offsets for a namespace that is joined by its
// path, clocks other than monotonic and boottime, nanosecs above 999999999.
func (d *Document) Time() (TimeSpec, error) {
	var t TimeSpec
	var err error
	if t.Present, t.Path, err = d.Namespace(string(specs.TimeNamespace)); err != nil {
		return TimeSpec{}, err
	}
	raw, ok, err := d.Get("linux", "timeOffsets")
	if err != nil || !ok || string(raw) == aNull {
		return t, err
	}
	if k := kindOf(raw[0]); k != anObject {
		return TimeSpec{}, d.typeError([]string{"linux", "timeOffsets"}, k, anObject)
	}
	list, _ := items(raw, 0)
	for _, m := range list {
		if err := d.readOffset(&t, m.key, raw[m.start:m.end]); err != nil {
			return TimeSpec{}, err
		}
	}
	if t.Path != "" && len(t.Listed) > 0 {
		return TimeSpec{}, fmt.Errorf("%s: linux.timeOffsets is set, but the time namespace is joined by its path %q and its offsets are fixed: remove one of them", d.name, t.Path)
	}
	return t, nil
}

// readOffset adds one member of linux.timeOffsets to t.
func (d *Document) readOffset(t *TimeSpec, key string, raw json.RawMessage) error {
	at := "linux.timeOffsets." + brief(key)
	clock, err := timens.ParseClock(key)
	if err != nil {
		return fmt.Errorf("%s: linux.timeOffsets: %w", d.name, err)
	}
	if t.Listed[clock] {
		return fmt.Errorf("%s: key %q appears twice: remove one", d.name, at)
	}
	var v specs.LinuxTimeOffset
	if err := decode(raw, &v, at); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	o, err := timens.NewOffset(v.Secs, int64(v.Nanosecs))
	if err != nil {
		return fmt.Errorf("%s: %s: %w", d.name, at, err)
	}
	if t.Listed == nil {
		t.Listed = map[timens.Clock]bool{}
	}
	t.Listed[clock] = true
	t.Offsets = t.Offsets.With(clock, o)
	return nil
}

// SetTime makes the document ask for a new time namespace with the given offsets
// of both clocks. An entry of type time without a path is used as it is; one
// with a path is refused, because the offsets of a namespace that exists are
// fixed.
func (d *Document) SetTime(o timens.Offsets) (err error) {
	before := d.data
	defer func() {
		if err != nil {
			d.data = before
		}
	}()
	t, err := d.Time()
	if err != nil {
		return err
	}
	if t.Path != "" {
		return fmt.Errorf("%s: the container joins the time namespace %q, and the offsets of an existing namespace are fixed: remove the path, or ask for no clocks", d.name, t.Path)
	}
	if !t.Present {
		entry := map[string]specs.LinuxNamespaceType{"type": specs.TimeNamespace}
		if err := d.Append(entry, "linux", "namespaces"); err != nil {
			return err
		}
	}
	for _, c := range timens.AllClocks() {
		v := o.Get(c)
		// Both numbers are always written: "omitempty" would leave an empty
		// object of a clock that is the host's.
		if err := d.Set(v.Seconds(), "linux", "timeOffsets", c.String(), "secs"); err != nil {
			return err
		}
		if err := d.Set(v.Nanoseconds(), "linux", "timeOffsets", c.String(), "nanosecs"); err != nil {
			return err
		}
	}
	return nil
}

// AddHook adds h to hooks.STAGE, behind what is there. It changes nothing when
// an entry with the same path and arguments is there.
func (d *Document) AddHook(stage string, h specs.Hook) error {
	raw, ok, err := d.Get("hooks", stage)
	if err != nil {
		return err
	}
	if ok {
		var have []specs.Hook
		if err := decode(raw, &have, "hooks."+stage); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		for _, x := range have {
			if x.Path == h.Path && slices.Equal(x.Args, h.Args) {
				return nil
			}
		}
	}
	return d.Append(h, "hooks", stage)
}
