package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Document is a config.json that is edited as text: whatever is not edited
// stays as it was, byte for byte. A failed edit changes nothing.
//
// Duplicate keys, and keys that differ only in case, are refused on the way to
// a value: decoders written in Go take the last of them whatever its case,
// those in C the first or only the exact one, so that two programs would read
// two different containers.
type Document struct {
	name string // for messages
	orig []byte
	data []byte // never changed in place

	listings
}

// ParseDocument takes the text of a config.json: one JSON object in UTF-8
// without byte order mark, no deeper than encoding/json reads (10000 levels).
// An error names line and column. It keeps data, which must not change.
func ParseDocument(data []byte) (*Document, error) {
	return parseDocument(data, "config.json")
}

func parseDocument(data []byte, name string) (*Document, error) {
	if err := checkObject(data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Document{name: name, orig: data, data: data}, nil
}

// Bytes returns the text, which must not be changed.
func (d *Document) Bytes() []byte { return d.data }

// Changed reports whether the text is another than the one parsed.
func (d *Document) Changed() bool { return !bytes.Equal(d.data, d.orig) }

// Get returns the value at path, a list of object keys, and whether there is
// one. What lies inside null is absent. A value on the way that is no object is
// an error.
func (d *Document) Get(path ...string) (json.RawMessage, bool, error) {
	at, err := d.find(path)
	if err != nil || at.depth < len(path) {
		return nil, false, err
	}
	return bytes.Clone(d.data[at.start:at.end]), true, nil
}

// list returns the items of the object or array at path, with offsets into
// d.data, and none where there is nothing, or null.
func (d *Document) list(kind string, path ...string) ([]item, error) {
	at, err := d.find(path)
	if err != nil || at.depth < len(path) || d.kind(at) == aNull {
		return nil, err
	}
	if k := d.kind(at); k != kind {
		return nil, d.typeError(path, k, kind)
	}
	list, _ := d.items(at.start)
	return list, nil
}

// decode stores the value of an item in v. path names it.
func (d *Document) decode(it item, v any, path ...string) error {
	if err := decode(d.data[it.start:it.end], v, strings.Join(path, ".")); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

// Set puts value at path, and creates the objects on the way where there are
// none, or null. Text that already says the same stays.
func (d *Document) Set(value any, path ...string) error {
	if len(path) == 0 {
		return errors.New("set: no path")
	}
	at, err := d.find(path)
	if err != nil {
		return err
	}
	if at.depth == len(path) {
		if same, err := d.says(at, value); same || err != nil {
			return err
		}
		return d.replace(at, at.style, value)
	}
	return d.insert(at, path[at.depth:], value)
}

// Append puts value behind the last element of the array at path, which is
// created where there is none, or null.
func (d *Document) Append(value any, path ...string) error {
	at, err := d.find(path)
	if err != nil {
		return err
	}
	if at.depth < len(path) || d.kind(at) == aNull {
		return d.setList(value, path)
	}
	if k := d.kind(at); k != anArray {
		return d.typeError(path, k, anArray)
	}
	list, end := d.items(at.start)
	if len(list) == 0 {
		return d.setList(value, path)
	}
	s := styleOf(d.data, at.start, list, end)
	return d.splice(list[len(list)-1].end, s.sep, s, value)
}

// setList puts an array of one value at path.
func (d *Document) setList(value any, path []string) error {
	v, err := compact(value)
	if err != nil {
		return err
	}
	return d.Set(slices.Concat(raw("["), v, raw("]")), path...)
}

// place is the value on a path that is found deepest.
type place struct {
	depth      int // how many keys of the path lead to it
	start, end int
	style      style // of the object around it
}

func (d *Document) kind(at place) string { return kindOf(d.data[at.start]) }

// find goes along path as far as there are values.
func (d *Document) find(path []string) (place, error) {
	at := place{start: skipSpace(d.data, 0), end: len(bytes.TrimRight(d.data, " \t\r\n"))}
	if err := checkText(path...); err != nil {
		return at, fmt.Errorf("%s: key %w", d.name, err)
	}
	for at.depth < len(path) {
		k := d.kind(at)
		if k == aNull {
			return at, nil
		}
		if k != anObject {
			return at, d.typeError(path[:at.depth], k, anObject)
		}
		list, end := d.items(at.start)
		i, err := d.lookup(list, path[:at.depth+1])
		if err != nil || i < 0 {
			return at, err
		}
		at = place{at.depth + 1, list[i].start, list[i].end, styleOf(d.data, at.start, list, end)}
	}
	return at, nil
}

// lookup returns the index of the last key of path in the members of an object,
// or -1.
func (d *Document) lookup(list []item, path []string) (int, error) {
	key := path[len(path)-1]
	found := -1
	for i, m := range list {
		switch {
		case m.key == key && found >= 0:
			return -1, fmt.Errorf("%s: %s: key %q appears twice: remove one", d.name, position(d.data, m.keyStart), strings.Join(path, "."))
		case m.key == key:
			found = i
		case strings.EqualFold(m.key, key):
			return -1, fmt.Errorf("%s: %s: key %q differs from %q only in case, and runtimes disagree on what that means: rename it",
				d.name, position(d.data, m.keyStart), m.key, strings.Join(path, "."))
		}
	}
	return found, nil
}

func (d *Document) typeError(path []string, is, want string) error {
	return fmt.Errorf("%s: %s is %s, where %s is needed", d.name, strings.Join(path, "."), is, want)
}

// says reports whether the text at a place is value already, layout aside.
func (d *Document) says(at place, value any) (bool, error) {
	want, err := style{}.render(value)
	if err != nil {
		return false, err
	}
	var is bytes.Buffer
	if err := json.Compact(&is, d.data[at.start:at.end]); err != nil {
		return false, err
	}
	return bytes.Equal(is.Bytes(), want), nil
}

// insert adds a member to the object, or null, at a place. keys are what is
// missing of a path.
func (d *Document) insert(at place, keys []string, value any) error {
	var err error
	for _, k := range slices.Backward(keys[1:]) {
		if value, err = within(k, value); err != nil {
			return err
		}
	}
	if d.kind(at) == anObject {
		if list, end := d.items(at.start); len(list) > 0 {
			s := styleOf(d.data, at.start, list, end)
			key, err := style{}.render(keys[0])
			if err != nil {
				return err
			}
			return d.splice(list[len(list)-1].end, s.sep+string(key)+s.colon, s, value)
		}
	}
	if value, err = within(keys[0], value); err != nil {
		return err
	}
	return d.replace(at, at.style, value)
}

// splice inserts lead and value at i.
func (d *Document) splice(i int, lead string, s style, value any) error {
	text, err := s.render(value)
	if err != nil {
		return err
	}
	d.data = slices.Concat(d.data[:i], []byte(lead), text, d.data[i:])
	return nil
}

// replace puts value in the place of another.
func (d *Document) replace(at place, s style, value any) error {
	text, err := s.render(value)
	if err != nil {
		return err
	}
	d.data = slices.Concat(d.data[:at.start], text, d.data[at.end:])
	return nil
}
