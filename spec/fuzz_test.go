package spec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/timens"
)

// What is not edited survives byte for byte, what is edited decodes to what was
// set, and an edit that was made is not made again.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		`{}`,
		`{"linux":null,"hooks":{"createRuntime":[]}}`,
		"{\n  \"a\": 18446744073709551615, \"A\": 1e2,\n  \"linux\": {\n    \"namespaces\": [ {\"type\":\"time\"} ]\n  }\n}",
		`{"linux":{"timeOffsets":{"boottime":{"secs":1}},"namespaces":[{"type":"pid"},{"type":"user"}],"x":"\"}\\"}}`,
		`{"li\u006eux":{},"LINUX":{}}`,
	} {
		f.Add([]byte(text), int64(3600), int64(500000000), "linux timeOffsets")
		f.Add([]byte(text), int64(-1), int64(0), "hooks new")
	}
	f.Fuzz(func(t *testing.T, text []byte, secs, nanos int64, path string) {
		original := bytes.Clone(text)
		d, err := ParseDocument(text)
		var before map[string]any
		if err != nil {
			if json.Unmarshal(text, &before) == nil && before != nil && bytes.ToValidUTF8(text, nil) == nil {
				t.Errorf("refused: %v", err)
			}
			return
		}
		o, err := timens.NewOffset(secs, nanos)
		if err != nil {
			return
		}
		offsets := timens.Offsets{Boottime: o}
		checkEdit(t, d, [][]string{{"linux", "namespaces"}, {"linux", "timeOffsets"}, {KeyApplied}}, func(d *Document) error {
			return d.SetTime(offsets)
		})
		if got, err := d.Time(); err == nil && d.Changed() && (got.Offsets != offsets || !got.Present) {
			t.Errorf("SetTime(%v) reads %v: %s", o, got, d.Bytes())
		}
		checkUndo(t, text, d)
		checkEdit(t, d, [][]string{{"hooks", "createRuntime"}}, func(d *Document) error {
			return d.AddHook("createRuntime", specs.Hook{Path: "/bin/h", Args: []string{"h", path}})
		})
		if keys := strings.Fields(path); len(keys) > 0 {
			checkEdit(t, d, [][]string{keys}, func(d *Document) error { return d.Set(secs, keys...) })
			if raw, ok, err := d.Get(keys...); err == nil && ok && string(raw) != string(must(json.Marshal(secs))) {
				t.Errorf("Set(%d, %q) reads %s: %s", secs, keys, raw, d.Bytes())
			}
		}
		if !bytes.Equal(text, original) {
			t.Error("the text given was changed")
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// checkEdit makes an edit, again, and again after parsing, and compares all that
// is outside of some paths.
func checkEdit(t *testing.T, d *Document, paths [][]string, edit func(*Document) error) {
	t.Helper()
	before := d.Bytes()
	if err := edit(d); err != nil {
		if !bytes.Equal(before, d.Bytes()) {
			t.Errorf("%v, and changed to\n%s", err, d.Bytes())
		}
		return
	}
	after := d.Bytes()
	fresh, err := ParseDocument(after)
	if err != nil {
		t.Fatalf("%v in the result\n%s", err, after)
	}
	for _, d := range []*Document{d, fresh} {
		if err := edit(d); err != nil || !bytes.Equal(after, d.Bytes()) {
			t.Errorf("once:\n%s\ntwice, %v:\n%s", after, err, d.Bytes())
		}
	}
	one, two := outside(before, paths), outside(after, paths)
	if !slices.Equal(one, two) {
		t.Errorf("outside of %q\n%q became\n%q", paths, one, two)
	}
}

// checkUndo takes SetTime's edit of text back, which gives text again unless
// something was in the way: null, or an empty object or array.
func checkUndo(t *testing.T, text []byte, edited *Document) {
	t.Helper()
	before, err := ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseDocument(edited.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	inTheWay := false
	for _, path := range [][]string{{}, {"linux"}, {"linux", "namespaces"}} {
		raw, ok, err := before.Get(path...)
		if err != nil {
			return // nothing was edited
		}
		if !ok {
			continue
		}
		if inTheWay = inTheWay || raw[0] != '{' && raw[0] != '['; !inTheWay {
			list, _ := items(raw, 0)
			inTheWay = len(list) == 0
		}
	}
	for _, path := range [][]string{{"linux", "timeOffsets"}, {KeyApplied}} {
		if _, ok, err := before.Get(path...); ok || err != nil {
			inTheWay = true // the values come back, in another layout
		}
	}
	if err := d.UndoTime(); err != nil {
		if edited.Changed() {
			t.Errorf("undo of\n%s\n%v", edited.Bytes(), err)
		}
		return
	}
	if !inTheWay && !bytes.Equal(d.Bytes(), text) {
		t.Errorf("edited\n%s\nundone\n%s\nwant\n%s", edited.Bytes(), d.Bytes(), text)
	}
	if again, err := ParseDocument(d.Bytes()); err != nil {
		t.Errorf("%v in\n%s", err, d.Bytes())
	} else if _, found, err := again.marked(); found || err != nil {
		t.Errorf("the mark is left, %v:\n%s", err, d.Bytes())
	}
}

// outside lists, in order, keys and raw values that are on none of the paths.
func outside(text []byte, paths [][]string) []string {
	var out []string
	open := skipSpace(text, 0)
	if text[open] != '{' {
		return nil
	}
	list, _ := items(text, open)
	for _, m := range list {
		var rest [][]string
		whole := false // the value edited
		for _, p := range paths {
			if len(p) > 0 && p[0] == m.key {
				rest = append(rest, p[1:])
				whole = whole || len(p) == 1
			}
		}
		value := text[m.start:m.end]
		switch {
		case len(rest) == 0:
			out = append(out, string(text[m.keyStart:m.keyEnd]), string(value))
		case !whole:
			out = append(out, outside(value, rest)...)
		}
	}
	return out
}

// What is accepted can be used by a hook, and is what encoding/json reads.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"ociVersion":"1.3.0","id":"c","status":"creating","pid":42,"bundle":"/b","annotations":{"io.timens.boottime":"=0"}}`))
	f.Add([]byte(`{"ociVersion":"1.0","id":"c","pid":42,"root":"/b/rootfs","bundle":"/b","status":"created"}`))
	f.Add([]byte(`{"id":"c","status":"stopped","annotations":null}`))
	f.Add([]byte(`{"id":"..","pid":-1e9}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ReadState(bytes.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "container state: ") || len(err.Error()) > 4<<10 {
				t.Errorf("%.9999s", err)
			}
			return
		}
		if s.ID == "" || strings.Contains(s.ID, "/") || s.Status != specs.StateStopped && s.Pid <= 0 {
			t.Errorf("accepted: %v", s)
		}
		var want specs.State
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if len(want.Annotations) == 0 {
			want.Annotations = nil
		}
		if !reflect.DeepEqual(*s, want) {
			t.Errorf("got %v, encoding/json %v", *s, want)
		}
	})
}
