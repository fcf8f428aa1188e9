package spec

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestReadState(t *testing.T) {
	a := map[string]string{"io.timens.boottime": "=0"}
	for name, tt := range map[string]struct {
		in   string
		want specs.State
	}{
		"runc 1.5.2": {`{"ociVersion":"1.3.0","id":"c","status":"creating","pid":42,"bundle":"/b","annotations":{"io.timens.boottime":"=0"}}`,
			specs.State{Version: "1.3.0", ID: "c", Status: "creating", Pid: 42, Bundle: "/b", Annotations: a}},
		"crun 1.8.1": {"{\n \"ociVersion\": \"1.0\",\n \"id\": \"c\",\n \"pid\": 42,\n \"root\": \"/b/rootfs\",\n \"bundle\": \"/b\",\n \"status\": \"created\",\n \"annotations\": {\n \"io.timens.boottime\": \"=0\"\n }\n}\n",
			specs.State{Version: "1.0", ID: "c", Status: "created", Pid: 42, Bundle: "/b", Annotations: a}},
		"restored": {`{"ociVersion":"1.3.0","id":"c","status":"stopped","bundle":"/b"}`,
			specs.State{Version: "1.3.0", ID: "c", Status: "stopped", Bundle: "/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadState(iotest.OneByteReader(strings.NewReader(tt.in)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadStateRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                              `container state: empty, where a JSON object is needed`,
		`[]`:                            `container state: an array, where a JSON object is needed`,
		`{"id":"c","pid":`:              `container state: line 1, column 16: unexpected end of JSON input`,
		`{"id":"c","pid":1} x`:          `container state: line 1, column 20: invalid character 'x' after top-level value`,
		"{\"id\":\"\xff\",\"pid\":1}":   `container state: line 1, column 8: invalid UTF-8`,
		`{"pid":1}`:                     `container state: missing required property: id`,
		`{"id":"c","status":"created"}`: `container state: missing required property: pid`,
		`{"id":"c","pid":-1}`:           `container state: pid -1 is below zero`,
		`{"id":"c","pid":"1"}`:          `container state: pid is a JSON string, where an integer of 64 bits is needed`,
		`{"id":"../c","pid":1}`:         `container state: id "../c" is no file name`,
		`{"id":"..","pid":1}`:           `container state: id ".." is no file name`,
		`{"id":"c","pid":1,"annotations":{"a":true}}`:      `container state: annotation "a" is a JSON bool, where a string is needed`,
		`{"id":"c","pid":1,"annotations":{"a":"","a":""}}`: `container state: line 1, column 41: annotation "a" appears twice: remove one`,
		strings.Repeat(" ", MaxStateSize+1):                `container state: larger than 1048576 bytes`,
	} {
		_, err := ReadState(strings.NewReader(in))
		wantError(t, err, want)
	}
	_, err := ReadState(io.MultiReader(strings.NewReader("{"), iotest.ErrReader(os.ErrDeadlineExceeded)))
	wantError(t, err, "container state: i/o timeout")
}

func TestStateAnnotations(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	s := &specs.State{ID: "c", Bundle: dir, Annotations: map[string]string{"a": "state"}}
	if a, err := StateAnnotations(s); err != nil || a["a"] != "state" { // reads no file
		t.Errorf("%v, %v", a, err)
	}

	s.Annotations = nil
	if _, err := StateAnnotations(s); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without config.json: %v", err)
	}
	write(t, filepath.Join(dir, "elsewhere"), `{"annotations":{"a":"config"}}`)
	if err := os.Symlink("elsewhere", config); err != nil { // reading one does no harm
		t.Fatal(err)
	}
	if a, err := StateAnnotations(s); err != nil || a["a"] != "config" {
		t.Errorf("%v, %v", a, err)
	}
	write(t, config, `{"annotations":`)
	_, err := StateAnnotations(s)
	wantError(t, err, config+": line 1, column 15: unexpected end of JSON input")

	s.Bundle = ""
	_, err = StateAnnotations(s)
	wantError(t, err, "container state: missing required property: bundle")
}
