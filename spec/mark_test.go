package spec

import (
	"strings"
	"testing"

	"oci-timens/timens"
)

func TestUndoTime(t *testing.T) {
	const docker = `{"linux":{"namespaces":[{"type":"time"},{"type":"pid"}]}}`
	for name, tt := range map[string]struct {
		in   string
		mark string // after SetTime
		want string // after UndoTime, in if it is ""
	}{
		"plain":     {`{"linux":{"namespaces":[{"type":"pid"}]} }`, `{"timeOffsets":{"monotonic":{"secs":3600},"boottime":{"secs":-1,"nanosecs":500000000}},"namespaceAdded":true}`, ""},
		"no linux":  {`{"a":1}`, `{"timeOffsets":{"monotonic":{"secs":3600},"boottime":{"secs":-1,"nanosecs":500000000}},"namespaceAdded":true}`, ""},
		"in lines":  {"{\r\n  \"linux\": {\r\n    \"namespaces\": [\r\n      {\"type\":\"pid\"}\r\n    ]\r\n  }\r\n}\r\n", "", ""},
		"an entry":  {docker, `{"timeOffsets":{"monotonic":{"secs":3600},"boottime":{"secs":-1,"nanosecs":500000000}}}`, ""},
		"null":      {`{"linux":null,"a":1}`, "", `{"a":1}`},
		"of others": {`{"linux":{"namespaces":[{"type":"time"}],"timeOffsets":{"boottime":{"secs":5,"x":1}}}}`, `{"timeOffsets":{"monotonic":{"secs":3600},"boottime":{"secs":-1,"nanosecs":500000000}},"before":{"boottime":{"secs":5,"x":1}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := document(t, tt.in)
			for _, o := range []timens.Offsets{offsets(t, "+9s", "+9s"), offsets(t, "+1h", "-0.5s")} {
				if err := d.SetTime(o); err != nil {
					t.Fatal(err)
				}
				d = document(t, string(d.Bytes()))
			}
			if mark, ok, err := d.Get(KeyApplied); err != nil || !ok || tt.mark != "" && string(mark) != tt.mark {
				t.Errorf("the mark is %s, %v\nwant        %s", mark, err, tt.mark)
			}
			if tt.want == "" {
				tt.want = tt.in
			}
			for range 2 {
				if err := d.UndoTime(); err != nil {
					t.Fatal(err)
				}
				if got := string(d.Bytes()); got != tt.want {
					t.Errorf("undone\n%s\nwant\n%s", got, tt.want)
				}
			}
		})
	}
}

// What somebody changed since is theirs, and nothing is noted where nothing is
// written.
func TestUndoTimeOfOthers(t *testing.T) {
	const theirs = `{"linux":{"namespaces":[{"type":"time"}],"timeOffsets":{"monotonic":{"secs":1},"boottime":{"secs":2}}}}`
	d := document(t, theirs)
	if err := d.SetTime(offsets(t, "+1s", "+2s")); err != nil || d.Changed() {
		t.Errorf("%v, %s", err, d.Bytes())
	}
	for _, now := range []string{`{"monotonic":{"secs":3600},"boottime":{"secs":7}}`, `{"monotonic":{"secs":3600}}`} {
		d = document(t, `{"linux":{"namespaces":[]}}`)
		if err := d.SetTime(offsets(t, "+1h", "+0")); err != nil {
			t.Fatal(err)
		}
		const ours = `{"monotonic":{"secs":3600,"nanosecs":0},"boottime":{"secs":0,"nanosecs":0}}`
		if !strings.Contains(string(d.Bytes()), ours) {
			t.Fatal(string(d.Bytes()))
		}
		d = document(t, strings.Replace(string(d.Bytes()), ours, now, 1))
		if err := d.UndoTime(); err != nil {
			t.Fatal(err)
		}
		if got, want := string(d.Bytes()), `{"linux":{"namespaces":[{"type":"time"}],"timeOffsets":`+now+`}}`; got != want {
			t.Errorf("undone\n%s\nwant\n%s", got, want)
		}
	}
}

func TestUndoTimeRefuses(t *testing.T) {
	for in, want := range map[string]string{
		`{"io.timens.applied":7}`: `config.json: io.timens.applied is a number, where an object is needed`,
		`{"io.timens.applied":{"timeOffsets":{"boottime":{"secs":"1"}}}}`: `config.json: io.timens.applied.timeOffsets.boottime.secs is a JSON string, where an integer of 64 bits is needed`,
		`{"io.timens.applied":{},"linux":{"timeOffsets":7}}`:              `config.json: linux.timeOffsets is a number, where an object is needed`,
	} {
		d := document(t, in)
		wantError(t, d.UndoTime(), want)
		wantError(t, d.SetTime(timens.Offsets{}), want)
		if d.Changed() {
			t.Errorf("changed to %s", d.Bytes())
		}
	}
}

func TestRemove(t *testing.T) {
	for name, tt := range map[string]struct{ path, in, want string }{
		"first":        {"a", `{ "a": 1, "b": 2 }`, `{ "b": 2 }`},
		"middle":       {"b", `{"a":1, "b":2 ,"c":3}`, `{"a":1 ,"c":3}`},
		"last":         {"b", "{\n \"a\": 1,\n \"b\": [2]\n}", "{\n \"a\": 1\n}"},
		"only":         {"a", `{"a":1}`, `{}`},
		"around it":    {"b c d", `{"a":1,"b":{"c":{"d":1}}}`, `{"a":1}`},
		"not there":    {"b c", `{"a":1,"b":{}}`, `{"a":1,"b":{}}`},
		"inside null":  {"b c", `{"b":null}`, `{"b":null}`},
		"escaped name": {"b", `{"a":1,"\u0062":1}`, `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			d := document(t, tt.in)
			if err := d.Remove(strings.Fields(tt.path)...); err != nil || string(d.Bytes()) != tt.want {
				t.Errorf("%v, got\n%s\nwant\n%s", err, d.Bytes(), tt.want)
			}
		})
	}
	wantError(t, document(t, `{"a":1,"a":2}`).Remove("a"), `config.json: line 1, column 8: key "a" appears twice: remove one`)
}

func TestDropTimeNamespace(t *testing.T) {
	for in, want := range map[string]string{
		`{"linux":{"namespaces":[{"type":"time"},{"type":"pid"}]}}`:                   `{"linux":{"namespaces":[{"type":"pid"}]}}`,
		`{"linux":{"namespaces":[{"type":"pid"}, {"type":"time","path":""}], "x":1}}`: `{"linux":{"namespaces":[{"type":"pid"}], "x":1}}`,
		`{"linux":{"namespaces":[{"type":"time","path":"/p"}]}}`:                      `{"linux":{"namespaces":[{"type":"time","path":"/p"}]}}`,
		`{"linux":{}}`: `{"linux":{}}`,
	} {
		d := document(t, in)
		if err := d.DropTimeNamespace(); err != nil || string(d.Bytes()) != want {
			t.Errorf("%s: %v, %s", in, err, d.Bytes())
		}
	}
}
