package spec

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oci-timens/timens"
)

func offsets(t *testing.T, monotonic, boottime string) timens.Offsets {
	t.Helper()
	return timens.Offsets{Monotonic: setting(t, monotonic).Value(), Boottime: setting(t, boottime).Value()}
}

func TestSetTime(t *testing.T) {
	const written = `"timeOffsets":{"monotonic":{"secs":3600,"nanosecs":0},"boottime":{"secs":-1,"nanosecs":500000000}}`
	for name, tt := range map[string]struct{ in, want string }{
		"nothing there":      {`{}`, `{"linux":{"namespaces":[{"type":"time"}],` + written + `}}`},
		"linux null":         {`{"linux":null}`, `{"linux":{"namespaces":[{"type":"time"}],` + written + `}}`},
		"namespaces null":    {`{"linux":{"namespaces":null}}`, `{"linux":{"namespaces":[{"type":"time"}],` + written + `}}`},
		"others kept":        {`{"linux":{"x":1,"namespaces":[{"type":"pid","path":"/p"}],"y":2}}`, `{"linux":{"x":1,"namespaces":[{"type":"pid","path":"/p"},{"type":"time"}],"y":2,` + written + `}}`},
		"as Docker sends it": {`{"linux":{"namespaces":[{"type":"time"},{"type":"pid"}]}}`, `{"linux":{"namespaces":[{"type":"time"},{"type":"pid"}],` + written + `}}`},
		"entry kept":         {`{"linux":{"namespaces":[{"path":"","x":1,"type":"time"}]}}`, `{"linux":{"namespaces":[{"path":"","x":1,"type":"time"}],` + written + `}}`},
		"offsets empty":      {`{"linux":{"timeOffsets":{},"namespaces":[{"type":"time"}]}}`, `{"linux":{` + written + `,"namespaces":[{"type":"time"}]}}`},
		"offsets null":       {`{"linux":{"timeOffsets":null,"namespaces":[{"type":"time"}]}}`, `{"linux":{` + written + `,"namespaces":[{"type":"time"}]}}`},
		"no entry": {`{"linux":{"timeOffsets":{"boottime":{"nanosecs":7,"x":1},"monotonic":null},"namespaces":[]}}`,
			`{"linux":{"timeOffsets":{"boottime":{"nanosecs":500000000,"x":1,"secs":-1},"monotonic":{"secs":3600,"nanosecs":0}},"namespaces":[{"type":"time"}]}}`},
		"already so": {`{"linux":{ "namespaces": [{"type":"time"}], ` + written + ` }}`, `{"linux":{ "namespaces": [{"type":"time"}], ` + written + ` }}`},
		"indented": {"{\n\t\"linux\": {\n\t\t\"namespaces\": [\n\t\t\t{\n\t\t\t\t\"type\": \"pid\"\n\t\t\t}\n\t\t]\n\t}\n}\n",
			"{\n\t\"linux\": {\n\t\t\"namespaces\": [\n\t\t\t{\n\t\t\t\t\"type\": \"pid\"\n\t\t\t},\n\t\t\t{\n\t\t\t\t\"type\": \"time\"\n\t\t\t}\n\t\t],\n" +
				"\t\t\"timeOffsets\": {\n\t\t\t\"monotonic\": {\n\t\t\t\t\"secs\": 3600,\n\t\t\t\t\"nanosecs\": 0\n\t\t\t},\n" +
				"\t\t\t\"boottime\": {\n\t\t\t\t\"secs\": -1,\n\t\t\t\t\"nanosecs\": 500000000\n\t\t\t}\n\t\t}\n\t}\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o := offsets(t, "+1h", "-0.5s")
			d := document(t, tt.in)
			for range 2 { // the second changes nothing
				if err := d.SetTime(o); err != nil {
					t.Fatal(err)
				}
				edited := document(t, string(d.Bytes()))
				if err := edited.Remove(KeyApplied); err != nil {
					t.Fatal(err)
				}
				if got := string(edited.Bytes()); got != tt.want {
					t.Errorf("got\n%s\nwant\n%s", got, tt.want)
				}
			}
			got, err := d.Time()
			want := TimeSpec{Present: true, Offsets: o, Listed: map[timens.Clock]bool{timens.Monotonic: true, timens.Boottime: true}}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b timens.Offset) bool { return a == b })); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

func TestTimeRefuses(t *testing.T) {
	const path = `{"type":"time","path":"/proc/1/ns/time"}`
	for in, want := range map[string]string{
		`{"linux":7}`:                                                           `config.json: linux is a number, where an object is needed`,
		`{"linux":{"namespaces":{}}}`:                                           `config.json: linux.namespaces is an object, where an array is needed`,
		`{"linux":{"namespaces":[0]}}`:                                          `config.json: linux.namespaces[0] is a number, where an object is needed`,
		`{"linux":{"namespaces":[{"type":"pid"},{"type":[]}]}}`:                 `config.json: linux.namespaces[1].type is a JSON array, where a string is needed`,
		`{"linux":{"namespaces":[{"type":"time"},{"type":"time"}]}}`:            `config.json: linux.namespaces has two entries of type "time": remove one`,
		`{"linux":{"namespaces":[{"type":"pid","type":"time"}]}}`:               `config.json: line 1, column 39: key "linux.namespaces[0].type" appears twice: remove one`,
		`{"linux":{"namespaces":[{"type":"time","Path":"/x"}]}}`:                `config.json: line 1, column 40: key "Path" differs from "linux.namespaces[0].path" only in case, and runtimes disagree on what that means: rename it`,
		`{"linux":{"timeOffsets":[]}}`:                                          `config.json: linux.timeOffsets is an array, where an object is needed`,
		`{"linux":{"timeOffsets":{"realtime":{"secs":1}}}}`:                     `config.json: linux.timeOffsets: unknown clock "realtime": the clocks of a time namespace are monotonic and boottime`,
		`{"linux":{"timeOffsets":{"boottime":{},"boottime":{}}}}`:               `config.json: line 1, column 40: key "linux.timeOffsets.boottime" appears twice: remove one`,
		`{"linux":{"timeOffsets":{"boottime":5}}}`:                              `config.json: linux.timeOffsets.boottime is a number, where an object is needed`,
		`{"linux":{"timeOffsets":{"boottime":{"secs":1.5}}}}`:                   `config.json: linux.timeOffsets.boottime.secs is a JSON number 1.5, where an integer of 64 bits is needed`,
		`{"linux":{"timeOffsets":{"boottime":{"secs":9223372036854775808}}}}`:   `config.json: linux.timeOffsets.boottime.secs is a JSON number 9223372036854775808, where an integer of 64 bits is needed`,
		`{"linux":{"timeOffsets":{"boottime":{"nanosecs":1000000000}}}}`:        `config.json: linux.timeOffsets.boottime: nanoseconds 1000000000 are out of range: they are 0 to 999999999, and seconds carry the sign`,
		`{"linux":{"namespaces":[` + path + `],"timeOffsets":{"boottime":{}}}}`: `config.json: linux.timeOffsets is set, but the time namespace is joined by its path "/proc/1/ns/time", which fixes its offsets: remove one of the two`,
	} {
		d := document(t, in)
		_, err := d.Time()
		wantError(t, err, want)
		wantError(t, d.SetTime(timens.Offsets{}), want)
	}

	d := document(t, `{"linux":{"namespaces":[`+path+`]}}`)
	if got, err := d.Time(); err != nil || !got.Present || got.Path != "/proc/1/ns/time" {
		t.Errorf("%v, %v", got, err)
	}
	wantError(t, d.SetTime(timens.Offsets{}), `config.json: the container joins the time namespace "/proc/1/ns/time", and the offsets of an existing one are fixed: remove this path from linux.namespaces, or ask for no clocks`)

	d = document(t, `{"linux":{"timeoffsets":{}}}`)
	wantError(t, d.SetTime(timens.Offsets{}), `config.json: line 1, column 11: key "timeoffsets" differs from "linux.timeOffsets" only in case, and runtimes disagree on what that means: rename it`)
	if d.Changed() {
		t.Errorf("changed to %s", d.Bytes())
	}
}

func TestNamespace(t *testing.T) {
	d := document(t, `{"linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/run/netns/a"},{"path":null}]}}`)
	for typ, want := range map[string]struct {
		present bool
		path    string
	}{"pid": {true, ""}, "network": {true, "/run/netns/a"}, "user": {false, ""}} {
		if present, path, err := d.Namespace(typ); present != want.present || path != want.path || err != nil {
			t.Errorf("%s: %v, %q, %v", typ, present, path, err)
		}
	}
}

func TestReadTime(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		`{"linux":{"namespaces":[{"type":"time","path":"/p"}]}}`:            "/p",
		`{"linux":{"namespaces":[{"type":"\u0074ime","path":"/p"}]}}`:       "/p",
		`{"linux":{"namespaces":[{"type":"pid","path":"/p"}]}}`:             "",
		`{"annotations":{"io.timens.boottime":"=0"},"linux":{}, not json }`: "",
	} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadTime(dir); got.Path != want || err != nil {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if _, err := ReadTime(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
