package spec

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/timens"
)

// FuzzEdits compares what encoding/json reads in an edited document with the same edit of
// what it reads in the original.
func FuzzEdits(f *testing.F) {
	for _, text := range []string{
		`{"annotations":{"io.timens.boottime":"=0","a":"b"},"linux":{"namespaces":[{"type":"pid"}]}}`,
		"{\n\t\"annotations\": {\n\t\t\"io.timens.boottime\": \"+1h\"\n\t},\n\t\"linux\": {\"namespaces\": null, \"timeOffsets\": {}},\r\n\t\"hooks\": {\"createRuntime\": [{\"path\": \"/x\"}]}\n}",
		`{"a":{"b":{"c":1}},"\u0061nnotations":{"io.t\u0069mens.boottime":"=0"},"x":[1,2.50,1e400]}`,
		`{"linux":{"namespaces":[{"type":"time"}],"timeOffsets":{"boottime":{"secs":1,"x":2}}}}`,
	} {
		f.Add([]byte(text), "a b", "c", int64(-1), int64(500000000))
		f.Add([]byte(text), "annotations io.timens.boottime", "<é>\"", int64(3600), int64(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, path, value string, secs, nanos int64) {
		d, err := ParseDocument(text)
		keys := strings.Fields(path)
		if err != nil || len(keys) == 0 || checkText(value) != nil {
			return
		}
		before := decoded(t, text)
		if mentioned(before) && !Mentioned(text) {
			t.Errorf("is not found to mention timens: %s", text)
		}
		for name, edit := range map[string]struct {
			do   func(*Document) error
			want func() any
		}{
			"set":    {func(d *Document) error { return d.Set(value, keys...) }, func() any { return put(before, keys, value) }},
			"append": {func(d *Document) error { return d.Append(value, keys...) }, func() any { return put(before, keys, appended(at(before, keys), value)) }},
			"remove": {func(d *Document) error { return d.Remove(keys...) }, func() any { return take(before, keys) }},
		} {
			checkValues(t, name, *d, edit.do, edit.want)
		}
		checkOwn(t, *d, before, keys[len(keys)-1], value)
		if o, err := timens.NewOffset(secs, nanos); err == nil && at(before, []string{KeyApplied}) == nil {
			checkTime(t, *d, before, timens.Offsets{Monotonic: o})
		}
	})
}

// checkValues makes an edit of a document whose text stays.
func checkValues(t *testing.T, name string, d Document, edit func(*Document) error, want func() any) {
	t.Helper()
	before := d.Bytes()
	if err := edit(&d); err != nil {
		return
	}
	if got, want := decoded(t, d.Bytes()), want(); !reflect.DeepEqual(got, want) {
		t.Errorf("%s: of\n%s\nbecame\n%s\nwhich says\n%v\nwant\n%v", name, before, d.Bytes(), got, want)
	}
}

// checkOwn replaces the annotations of ours.
func checkOwn(t *testing.T, d Document, before any, key, value string) {
	t.Helper()
	is, err := d.Annotations()
	if err != nil {
		return
	}
	want := map[string]string{KeyBoottime: value, key: value}
	checkValues(t, "own annotations", d, func(d *Document) error {
		changed, err := d.SetOwnAnnotations(is, want)
		if err == nil && changed != (len(ownKeys(is)) != len(ownKeys(want)) || slices.ContainsFunc(ownKeys(want), func(k string) bool { v, ok := is[k]; return !ok || v != want[k] })) {
			t.Errorf("changed: %v, from %v to %v", changed, is, want)
		}
		return err
	}, func() any {
		v := before
		for _, k := range ownKeys(is) {
			if _, ok := want[k]; !ok {
				v = take(v, []string{"annotations", k})
			}
		}
		for _, k := range ownKeys(want) {
			if old, ok := is[k]; !ok || old != want[k] { // null is read as ""
				v = put(v, []string{"annotations", k}, want[k])
			}
		}
		return v
	})
}

// checkTime asks for offsets in a document that has not been asked that before.
func checkTime(t *testing.T, d Document, before any, o timens.Offsets) {
	t.Helper()
	is, err := d.Time()
	if err != nil || is.Present && is.reads(o) {
		return
	}
	var mark any
	checkValues(t, "time", d, func(d *Document) error {
		err := d.SetTime(o)
		mark = at(decoded(t, d.Bytes()), []string{KeyApplied})
		return err
	}, func() any {
		v := put(before, []string{KeyApplied}, mark)
		namespaces := []string{"linux", "namespaces"}
		if !is.Present {
			v = put(v, namespaces, appended(at(v, namespaces), map[string]any{"type": string(specs.TimeNamespace)}))
		}
		for _, c := range timens.AllClocks() {
			offset := []string{"linux", "timeOffsets", c.String()}
			v = put(v, append(offset, "secs"), number(o.Get(c).Seconds()))
			v = put(v, append(offset, "nanosecs"), number(o.Get(c).Nanoseconds()))
		}
		return v
	})
}

func number(n int64) json.Number { return json.Number(must(json.Marshal(n))) }

// decoded keeps numbers as they are written.
func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

// mentioned reports whether a key or a string says timens behind a dot.
func mentioned(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, ".timens")
	case []any:
		return slices.ContainsFunc(v, mentioned)
	case map[string]any:
		for key, value := range v {
			if mentioned(key) || mentioned(value) {
				return true
			}
		}
	}
	return false
}

func at(v any, keys []string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func appended(list, value any) []any {
	l, _ := list.([]any)
	return append(slices.Clone(l), value)
}

// put returns v with a value at a path.
func put(v any, keys []string, value any) any {
	if len(keys) == 0 {
		return value
	}
	m, _ := v.(map[string]any)
	if m = maps.Clone(m); m == nil {
		m = map[string]any{}
	}
	m[keys[0]] = put(m[keys[0]], keys[1:], value)
	return m
}

// take returns v without the value at a path, and what that leaves empty.
func take(v any, keys []string) any {
	m, _ := v.(map[string]any)
	child, ok := m[keys[0]]
	if !ok {
		return v
	}
	if m = maps.Clone(m); len(keys) == 1 {
		delete(m, keys[0])
		return m
	}
	rest := take(child, keys[1:])
	if left, isMap := rest.(map[string]any); isMap && len(left) == 0 && !reflect.DeepEqual(rest, child) {
		delete(m, keys[0])
	} else {
		m[keys[0]] = rest
	}
	return m
}
