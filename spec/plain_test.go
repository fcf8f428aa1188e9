package spec

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestPlain holds what is read and written without encoding/json against it.
func TestPlain(t *testing.T) {
	for _, text := range []string{
		`""`, `"a b"`, `"é\u2028"`, `"\\"`, `"\""`, `"\n"`, `"日本"`, `0`, `-0`, `7`, `-12`, `1e2`, `1.0`, `9223372036854775807`,
		`9223372036854775808`, `-9223372036854775809`, `null`, `true`, `{}`, `[]`,
	} {
		for _, v := range []any{new(string), new(int), new(int64), new(bool)} {
			want := reflect.New(reflect.TypeOf(v).Elem()).Interface()
			if !decodePlain([]byte(text), v) {
				continue
			}
			if err := json.Unmarshal([]byte(text), want); err != nil || !reflect.DeepEqual(v, want) {
				t.Errorf("%s in %T is %v, want %v, %v", text, v, reflect.ValueOf(v).Elem(), reflect.ValueOf(want).Elem(), err)
			}
		}
	}
	for _, v := range []any{"", "a b", "<&>", `"`, `\`, "\n", "\x7f", "é", "\u2028", int64(-1), int64(1 << 62), 1, nil, []string{"a"}, json.RawMessage(`{ "a": 1 }`)} {
		text, err := compact(v)
		var got, want any
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if known, e := json.Marshal(v); err != nil || e != nil || json.Unmarshal(known, &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%#v is written %s, %v; want %s", v, text, err, known)
		}
	}
}

// BenchmarkEdit is what the shim does with a config.json of an engine's size.
func BenchmarkEdit(b *testing.B) {
	var names []string
	for range 1000 {
		names = append(names, "a_system_call")
	}
	text := must(json.Marshal(map[string]any{
		"annotations": map[string]string{KeyMonotonic: "+36h"},
		"linux":       map[string]any{"namespaces": []any{map[string]string{"type": "pid"}}, "seccomp": names},
		"mounts":      names,
	}))
	for b.Loop() {
		d := must(ParseDocument(text))
		_ = must(d.Annotations())
		if err := d.SetTime(must(d.Time()).Offsets); err != nil {
			b.Fatal(err)
		}
	}
}
