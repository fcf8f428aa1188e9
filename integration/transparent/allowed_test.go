package transparent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// content is what is compared of a file. Of JSON, the layout is not: that config.json keeps
// it to the byte while nobody asks for clocks is seen from its raw text.
func (w *world) content(name, text string) string {
	var value any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if !strings.HasPrefix(text, "{") || d.Decode(&value) != nil || d.More() {
		return prefixed(name+": ", text)
	}
	if w.v.name == "shifted" {
		value = w.unshift(name, value)
	}
	// Where the entry of the time namespace was the only one.
	if linux := inner(value, "linux"); linux != nil {
		if list, ok := linux["namespaces"].([]any); ok && len(list) == 0 {
			delete(linux, "namespaces")
		}
		if len(linux) == 0 {
			delete(inner(value), "linux")
		}
	}
	indented, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		w.t.Fatal(err)
	}
	return prefixed(name+": ", string(indented))
}

func prefixed(prefix, text string) string {
	return prefix + strings.ReplaceAll(text, "\n", "\n"+prefix) + "\n"
}

// object is a JSON object.
type object = map[string]any

func inner(o any, keys ...string) object {
	for _, k := range keys {
		m, _ := o.(object)
		o = m[k]
	}
	m, _ := o.(object)
	return m
}

// unshift takes out of a file what ten days are allowed to put there, and nothing else:
//
//   - into config.json, which the runtime reads, and copies of it: linux.timeOffsets, the
//     entry of the time namespace, and our note at the top; or, where the runtime cannot
//     set offsets well by itself, our hooks;
//   - into what the runtime then keeps of the container, the same.
func (w *world) unshift(name string, value any) any {
	w.t.Helper()
	top, ok := value.(object)
	if !ok {
		return value
	}
	switch filepath.Base(name) {
	case "config.json":
		if inner(top, "linux") != nil {
			w.dropOffsets(name, inner(top, "linux"), "timeOffsets")
			dropEntry(inner(top, "linux"), "namespaces", "time")
			delete(top, "io.timens.applied")
		}
		dropHooks(top, "hooks")
	case "state.json":
		config := inner(top, "config")
		w.dropOffsets(name, config, "time_offsets")
		dropEntry(config, "namespaces", "NEWTIME")
		dropHooks(config, "Hooks")
	}
	return top
}

// dropOffsets removes the offsets, which are to be ten days for each clock.
func (w *world) dropOffsets(name string, o object, key string) {
	w.t.Helper()
	if o == nil || o[key] == nil {
		return
	}
	days := object{"secs": json.Number(fmt.Sprint(int(shift.Seconds()))), "nanosecs": json.Number("0")}
	got, want := o[key], any(object{"monotonic": days, "boottime": days})
	if key == "time_offsets" { // runc leaves zeros out
		days = object{"secs": days["secs"]}
		want = object{"monotonic": days, "boottime": days}
	}
	if !reflect.DeepEqual(got, want) {
		w.t.Errorf("%s: %s is %v", name, key, got)
	}
	delete(o, key)
}

// dropEntry removes the one entry of a type from a list of namespaces.
func dropEntry(o object, key, typ string) {
	list, _ := o[key].([]any)
	for i, e := range list {
		if m, _ := e.(object); m["type"] == typ && (m["path"] == nil || m["path"] == "") {
			o[key] = slices.Delete(list, i, i+1)
			return
		}
	}
}

// dropHooks removes ours, and what is empty without them and was not there before.
func dropHooks(o object, key string) {
	hooks := inner(o, key)
	for stage, v := range maps.Clone(hooks) {
		list, _ := v.([]any)
		if len(list) == 0 {
			continue
		}
		list = slices.DeleteFunc(list, func(h any) bool { return bytes.HasSuffix([]byte(fmt.Sprint(inner(h)["path"])), []byte("/timens-hook")) })
		hooks[stage] = list
		if len(list) == 0 && key == "hooks" {
			delete(hooks, stage)
		} else if len(list) == 0 {
			hooks[stage] = nil // as runc writes it
		}
	}
	if key == "hooks" && hooks != nil && len(hooks) == 0 {
		delete(o, key)
	}
}

// withoutOurs takes out of what features prints the annotations that change what happens:
// ours are among them.
func withoutOurs(text string) string {
	const key = "potentiallyUnsafeConfigAnnotations"
	var top object
	if json.Unmarshal([]byte(text), &top) != nil {
		return text
	}
	list, _ := top[key].([]any)
	list = slices.DeleteFunc(list, func(v any) bool { return v == "io.timens." })
	if delete(top, key); len(list) > 0 {
		top[key] = list
	}
	indented, err := json.MarshalIndent(top, "", " ")
	if err != nil {
		return text
	}
	return string(indented)
}
