package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// change is one difference between two JSON documents.
type change struct {
	path     string // such as linux.namespaces[3]
	old, new any    // nil where there is none
}

// String returns the lines of a diff.
func (c change) String() string {
	var b bytes.Buffer
	if c.old != nil {
		fmt.Fprintf(&b, "- %s: %s\n", c.path, compact(c.old))
	}
	if c.new != nil {
		fmt.Fprintf(&b, "+ %s: %s\n", c.path, compact(c.new))
	}
	return b.String()
}

func compact(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// changes compares two documents by value: how they are written does not matter.
func changes(old, new []byte) ([]change, error) {
	a, err := decode(old)
	if err != nil {
		return nil, err
	}
	b, err := decode(new)
	if err != nil {
		return nil, err
	}
	return compare(nil, "", a, b), nil
}

// decode keeps numbers as they are written.
func decode(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

func compare(list []change, path string, a, b any) []change {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			return compareObjects(list, path, a, b)
		}
	case []any:
		if b, ok := b.([]any); ok {
			return compareArrays(list, path, a, b)
		}
	}
	if !reflect.DeepEqual(a, b) {
		list = append(list, change{path, a, b})
	}
	return list
}

func compareObjects(list []change, path string, a, b map[string]any) []change {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		at := k
		if path != "" {
			at = path + "." + k
		}
		list = compare(list, at, a[k], b[k])
	}
	return list
}

// compareArrays compares by position: our edits only append.
func compareArrays(list []change, path string, a, b []any) []change {
	for i := range max(len(a), len(b)) {
		var x, y any
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		list = compare(list, fmt.Sprintf("%s[%d]", path, i), x, y)
	}
	return list
}
