package spec

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func document(t *testing.T, text string) *Document {
	t.Helper()
	d, err := ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseDocumentRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"empty":     {"", "config.json: empty, where a JSON object is needed"},
		"space":     {" \n", "config.json: empty, where a JSON object is needed"},
		"array":     {" [1]", "config.json: an array, where a JSON object is needed"},
		"null":      {"null", "config.json: null, where a JSON object is needed"},
		"BOM":       {"\xef\xbb\xbf{}", "config.json: a byte order mark at the start, which JSON does not allow: save it as plain UTF-8"},
		"UTF-8":     {"{\n \"a\": \"é\xff\"}", "config.json: line 2, column 10: invalid UTF-8"},
		"cut short": {"{\n \"a\": [1", "config.json: line 2, column 8: unexpected end of JSON input"},
		"syntax":    {"{\n \"a\": 1,\n}", "config.json: line 3, column 1: invalid character '}' looking for beginning of object key string"},
		"trailing":  {"{} {}", "config.json: line 1, column 4: invalid character '{' after top-level value"},
		"deep":      {`{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", "config.json: line 1, column 10005: invalid character '[' exceeded max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseDocument([]byte(tt.in))
			wantError(t, err, tt.want)
		})
	}
}

func TestSetAndAppend(t *testing.T) {
	set := func(v any, path ...string) func(*Document) error {
		return func(d *Document) error { return d.Set(v, path...) }
	}
	add := func(v any, path ...string) func(*Document) error {
		return func(d *Document) error { return d.Append(v, path...) }
	}
	for name, tt := range map[string]struct {
		edit     func(*Document) error
		in, want string
	}{
		"replace":            {set(2, "a"), `{"a" : 1, "b":[ 1 ]}`, `{"a" : 2, "b":[ 1 ]}`},
		"same":               {set([]int{1, 2}, "a"), `{"a":[ 1,2 ]}`, `{"a":[ 1,2 ]}`},
		"first member":       {set(1, "a"), "{ }\n", `{"a":1}` + "\n"},
		"compact":            {set(1, "b"), `{"a":1}`, `{"a":1,"b":1}`},
		"python":             {set(1, "c"), `{"a": 1, "b": 2}`, `{"a": 1, "b": 2, "c": 1}`},
		"path":               {set(1, "a", "b", "c"), `{"z":0}`, `{"z":0,"a":{"b":{"c":1}}}`},
		"null":               {set(1, "a", "b"), `{"a":null}`, `{"a":{"b":1}}`},
		"no HTML escapes":    {set("<&>", "a"), `{}`, `{"a":"<&>"}`},
		"escaped key":        {set(2, "linux"), `{"li\u006eux":1}`, `{"li\u006eux":2}`},
		"key to be escaped":  {set(1, "a\"\n"), `{"b":1}`, `{"b":1,"a\"\n":1}`},
		"brackets in text":   {set(2, "b"), `{"a":"}]\\\"{","b":1}`, `{"a":"}]\\\"{","b":2}`},
		"numbers survive":    {set(1, "z"), `{"a":18446744073709551615,"b":1.50e+01}`, `{"a":18446744073709551615,"b":1.50e+01,"z":1}`},
		"elsewhere twice":    {set(1, "z"), `{"a":1,"a":2,"A":3}`, `{"a":1,"a":2,"A":3,"z":1}`},
		"indented":           {set(map[string]int{"x": 1}, "b"), "{\n\t\"a\": 1\n}\n", "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"x\": 1\n\t}\n}\n"},
		"indented inside":    {set(1, "a", "c", "d"), "{\n  \"a\": {\n    \"b\": 1\n  }\n}", "{\n  \"a\": {\n    \"b\": 1,\n    \"c\": {\n      \"d\": 1\n    }\n  }\n}"},
		"indented empty":     {set(1, "a", "b"), "{\n   \"a\": {}\n}", "{\n   \"a\": {\n      \"b\": 1\n   }\n}"},
		"CRLF":               {set([]int{1}, "b"), "{\r\n \"a\": 1\r\n}", "{\r\n \"a\": 1,\r\n \"b\": [\r\n  1\r\n ]\r\n}"},
		"commas first":       {set([]int{1}, "c"), "{ \"a\": 1\n, \"b\": 1\n}", "{ \"a\": 1\n, \"b\": 1\n, \"c\": [\n  1\n ]\n}"},
		"append":             {add(2, "a"), `{"a":[1]}`, `{"a":[1,2]}`},
		"append to none":     {add(2, "a", "b"), `{"z":1}`, `{"z":1,"a":{"b":[2]}}`},
		"append to null":     {add(2, "a"), `{"a":null}`, `{"a":[2]}`},
		"append to empty":    {add(2, "a"), `{"a":[ ]}`, `{"a":[2]}`},
		"append to lines":    {add(2, "a"), "{\n \"a\": [\n  1\n ]\n}", "{\n \"a\": [\n  1,\n  2\n ]\n}"},
		"append on one line": {add(map[string]int{"x": 2}, "a"), "{\n \"a\": [ {\"x\":1}, {} ]\n}", "{\n \"a\": [ {\"x\":1}, {}, {\"x\":2} ]\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			d := document(t, tt.in)
			if err := tt.edit(d); err != nil {
				t.Fatal(err)
			}
			if got := string(d.Bytes()); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if d.Changed() != (tt.in != tt.want) {
				t.Errorf("Changed is %v", d.Changed())
			}
		})
	}
}

func TestEditRefuses(t *testing.T) {
	set := func(d *Document) error { return d.Set(1, "linux", "x") }
	add := func(d *Document) error { return d.Append(1, "linux", "x") }
	for name, tt := range map[string]struct {
		edit     func(*Document) error
		in, want string
	}{
		"no path":        {func(d *Document) error { return d.Set(1) }, `{}`, `set: no path`},
		"no JSON":        {func(d *Document) error { return d.Set(func() {}, "a") }, `{}`, `json: unsupported type: func()`},
		"key not UTF-8":  {func(d *Document) error { return d.Set(1, "a\xb8") }, `{}`, `config.json: key "a\xb8" is not UTF-8, which JSON needs`},
		"hook not UTF-8": {func(d *Document) error { return d.AddHook("poststart", specs.Hook{Path: "/\xb8"}) }, `{}`, `config.json: hook "/\xb8" is not UTF-8, which JSON needs`},
		"no object":      {set, `{"linux":[]}`, `config.json: linux is an array, where an object is needed`},
		"no array":       {add, `{"linux":{"x":"y"}}`, `config.json: linux.x is a string, where an array is needed`},
		"twice":          {set, "{\n\"linux\":{},\n \"linux\":{}}", `config.json: line 3, column 2: key "linux" appears twice: remove one`},
		"twice, escaped": {set, `{"linux":{},"l\u0069nux":{}}`, `config.json: line 1, column 13: key "linux" appears twice: remove one`},
		"case":           {set, `{"Linux":{}}`, `config.json: line 1, column 2: key "Linux" differs from "linux" only in case, and runtimes disagree on what that means: rename it`},
		"both cases":     {add, `{"linux":{"x":[],"X":[]}}`, `config.json: line 1, column 18: key "X" differs from "linux.x" only in case, and runtimes disagree on what that means: rename it`},
		// encoding/json takes this for "hooks", too.
		"folded": {func(d *Document) error { return d.Set(1, "hooks") }, `{"hooKſ":{}}`,
			`config.json: line 1, column 2: key "hooKſ" differs from "hooks" only in case, and runtimes disagree on what that means: rename it`},
	} {
		t.Run(name, func(t *testing.T) {
			d := document(t, tt.in)
			wantError(t, tt.edit(d), tt.want)
			if d.Changed() {
				t.Errorf("changed to %s", d.Bytes())
			}
		})
	}
}

func TestGet(t *testing.T) {
	d := document(t, `{"a": {"b": [ 1 ]}, "n": null, "s": ""}`)
	for path, want := range map[string]string{"a": `{"b": [ 1 ]}`, "a b": "[ 1 ]", "n": "null", "n x": "", "a x": "", "x y": ""} {
		raw, ok, err := d.Get(strings.Fields(path)...)
		if err != nil || string(raw) != want || ok != (want != "") {
			t.Errorf("Get(%s) = %q, %v, %v", path, raw, ok, err)
		}
	}
	_, _, err := d.Get("s", "x")
	wantError(t, err, "config.json: s is a string, where an object is needed")
}

func TestAnnotations(t *testing.T) {
	for _, text := range []string{`{}`, `{"annotations":null}`, `{"annotations":{}}`} {
		if a, err := document(t, text).Annotations(); a != nil || err != nil {
			t.Errorf("%s: %v, %v", text, a, err)
		}
	}
	a, err := document(t, `{"annotations":{"a":"1","A":"\u0032","n":null}}`).Annotations()
	if err != nil || len(a) != 3 || a["a"] != "1" || a["A"] != "2" || a["n"] != "" {
		t.Errorf("%v, %v", a, err)
	}
	for text, want := range map[string]string{
		`{"annotations":[]}`:                    `config.json: annotations is an array, where an object is needed`,
		`{"annotations":{"a":1}}`:               `config.json: annotation "a" is a JSON number, where a string is needed`,
		`{"annotations":{"a":"1","\u0061":""}}`: `config.json: line 1, column 25: annotation "a" appears twice: remove one`,
		`{"Annotations":{"a":"1"}}`:             `config.json: line 1, column 2: key "Annotations" differs from "annotations" only in case, and runtimes disagree on what that means: rename it`,
	} {
		_, err := document(t, text).Annotations()
		wantError(t, err, want)
	}
}

func TestAddHook(t *testing.T) {
	timeout := 10
	h := specs.Hook{Path: "/bin/h", Args: []string{"h", "createRuntime"}, Timeout: &timeout}
	const entry = `{"path":"/bin/h","args":["h","createRuntime"],"timeout":10}`
	for in, want := range map[string]string{
		`{}`:             `{"hooks":{"createRuntime":[` + entry + `]}}`,
		`{"hooks":null}`: `{"hooks":{"createRuntime":[` + entry + `]}}`,
		`{"hooks":{"poststart":[{"path":"/x"}]}}`:                                                                                               `{"hooks":{"poststart":[{"path":"/x"}],"createRuntime":[` + entry + `]}}`,
		`{"hooks":{"createRuntime":[{"path":"/x","new":1}]}}`:                                                                                   `{"hooks":{"createRuntime":[{"path":"/x","new":1},` + entry + `]}}`,
		`{"hooks":{"createRuntime":[{"path":"/bin/h","args":["h"]}]}}`:                                                                          `{"hooks":{"createRuntime":[{"path":"/bin/h","args":["h"]},` + entry + `]}}`,
		`{"hooks":{"createRuntime":[{"path":"/old/h","args":["h","createRuntime"]}]},"a":1}`:                                                    `{"a":1,"hooks":{"createRuntime":[` + entry + `]}}`,
		`{"hooks":{"createRuntime":[` + entry + `, {"path":"/x"},{"path":"/bin/h","args":["h","createRuntime"],"env":["A=1"]},` + entry + `]}}`: `{"hooks":{"createRuntime":[` + entry + `, {"path":"/x"}]}}`,
		`{"hooks":{"createRuntime":[{"path":"/old/h","args":["h","createRuntime"]},{"path":"/x"}]}}`:                                            `{"hooks":{"createRuntime":[{"path":"/x"},` + entry + `]}}`,
		`{"hooks":{"createRuntime":[{"args":["h","createRuntime"],"path":"/bin/h"},{"path":""}]}}`:                                              `{"hooks":{"createRuntime":[{"args":["h","createRuntime"],"path":"/bin/h"},{"path":""}]}}`,
	} {
		d := document(t, in)
		for range 2 {
			if err := d.AddHook("createRuntime", h); err != nil {
				t.Fatal(err)
			}
			if got := string(d.Bytes()); got != want {
				t.Errorf("%s\ngives %s\nwant  %s", in, got, want)
			}
		}
	}
	for in, want := range map[string]string{
		`{"hooks":{"createRuntime":{}}}`:               `config.json: hooks.createRuntime is an object, where an array is needed`,
		`{"hooks":{"createRuntime":[{"path":[]}]}}`:    `config.json: hooks.createRuntime[0].path is a JSON array, where a string is needed`,
		`{"hooks":{"createRuntime":[{"args":"h"}]}}`:   `config.json: hooks.createRuntime[0].args is a JSON string, where an array is needed`,
		`{"hooks":{"createRuntime":[{},"/bin/true"]}}`: `config.json: hooks.createRuntime[1] is a JSON string, where an object is needed`,
	} {
		wantError(t, document(t, in).AddHook("createRuntime", h), want)
	}
}
