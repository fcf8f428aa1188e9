package engine

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

// FuzzTOML: whatever is valid TOML can be scanned, and edited or refused; and what is
// edited says the same as before when the edits are undone.
func FuzzTOML(f *testing.F) {
	for _, text := range []string{containersConf, debianContainerd, containerdV3, "a.\"b\".'c' = {x = 1, y = [2]} # c\n[[t]]\n", "s = \"\"\"\"\"\"\nt = x\n", "\ufeffa = 1\r\n", "d = 1979-05-27 07:32:00 # x"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseTOML("x", data)
		if err != nil {
			return
		}
		for _, e := range scanTOML(data) {
			if e.start < 0 || e.end <= e.start || e.end > len(data) {
				t.Fatalf("%+v is not in %d bytes", e, len(data))
			}
			if !e.table {
				var v map[string]any
				if err := toml.Unmarshal([]byte("x = "+string(data[e.valStart:e.vEnd])), &v); err != nil {
					t.Fatalf("%q: value of %q: %v", data, e.path, err)
				}
			}
		}
		before := says(t, data)
		const comment = "# ours\n"
		e := &editor{document: d, comment: comment}
		for _, path := range [][]string{{"engine", "hooks_dir"}, {"a", "b", "x"}, {"s"}} {
			if e.set([]string{"x"}, path...) != nil {
				continue
			}
			if text, ok, _ := d.get(path); !ok || text != `["x"]` {
				t.Fatalf("%q: %q is %q", d.bytes(), path, text)
			}
		}
		edited := d.bytes()
		if bytes.Contains(data, []byte(comment)) {
			return // not ours to take out
		}
		if _, err := undo(d, e.edits, comment); err != nil {
			t.Fatalf("%q: %v", edited, err)
		}
		if after := says(t, d.bytes()); !reflect.DeepEqual(before, after) {
			t.Errorf("%q\nedited\n%q\nundone\n%q", data, edited, d.bytes())
		}
	})
}

func says(t *testing.T, data []byte) (v map[string]any) {
	t.Helper()
	if err := toml.Unmarshal(data, &v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return v
}

// FuzzConfigure sets up engines whose configuration says anything: what is written can be
// read, a second time nothing changes, after --remove all is as it was to the byte, and
// what cannot be done is refused before anything is written. more is what somebody adds
// to the files meanwhile.
func FuzzConfigure(f *testing.F) {
	f.Add(byte(0), byte(0), "podman version 5.4.2", []byte(containersConf), []byte("[network]\n"))
	f.Add(byte(1), byte(5), "Docker version 28.2.2, build e6534b4", []byte("{\n    \"runtimes\": {\"kata\": {\"path\": \"/opt/kata\"}},\n    \"default-runtime\": \"kata\"}"), []byte(" "))
	f.Add(byte(1), byte(4), "Docker version 26.1.5", []byte(`{"features":{"cdi":false}}`), []byte("}"))
	f.Add(byte(2), byte(1), "containerd containerd.io 1.7.24", []byte(debianContainerd), []byte("[debug]\nlevel = \"x\"\n"))
	f.Add(byte(2), byte(8), "containerd github.com/containerd/containerd/v2 v2.4.2", []byte(containerdV3), []byte("\n"))
	f.Add(byte(3), byte(16), "crio version 1.35.6", []byte("[crio.runtime]\ndefault_runtime = \"crun\"\n"), []byte("# x"))
	modes := append([]string{""}, Modes...)
	f.Fuzz(func(t *testing.T, engine, how byte, version string, data, more []byte) {
		o := Options{Engine: Names[int(engine)%len(Names)], Mode: modes[int(how&7)%len(modes)], SetDefault: how&8 != 0, AllContainers: how&16 != 0}
		if o.check() != nil || leaves(data) || leaves(more) {
			return
		}
		c := testCase{version: version, options: o, files: map[string]string{engineFiles[o.Engine]: string(data)}}
		h := c.machine(t)
		before := h.snapshot(t)
		r, err := Configure(h, o)
		if err != nil {
			same := cmp.Diff(before, h.snapshot(t))
			if same != "" {
				t.Errorf("%v, and changed (-before +after):\n%s", err, same)
			}
			return
		}
		for _, change := range r.Changes {
			if err := readable(change.Path, change.After); err != nil {
				t.Errorf("%s: %v\n%s", change.Path, err, change.After)
			}
		}
		if again := configure(t, h, o); len(again.Changes) > 0 {
			t.Errorf("a second time changes %s", again.Changes[0].Diff())
		}
		configure(t, h, remove(o))
		if d := cmp.Diff(before, h.snapshot(t)); d != "" {
			t.Errorf("left after --remove (-before +after):\n%s", d)
		}
		editedMeanwhile(t, h, o, more)
	})
}

var engineFiles = map[string]string{
	Podman: "/etc/containers/containers.conf", Docker: "/etc/docker/daemon.json",
	Containerd: "/etc/containerd/config.toml", CRIO: "/etc/crio/crio.conf",
}

// editedMeanwhile has somebody add to what was written.
func editedMeanwhile(t *testing.T, h *Host, o Options, more []byte) {
	valid := true
	for _, change := range configure(t, h, o).Changes {
		text := slices.Concat(change.After, more)
		h.put(t, change.Path, string(text), 0o644)
		valid = valid && readable(change.Path, text) == nil
	}
	before := h.snapshot(t)
	r, err := Configure(h, remove(o))
	if err != nil {
		if d := cmp.Diff(before, h.snapshot(t)); d != "" || valid {
			t.Errorf("%v; valid: %v; changed (-before +after):\n%s", err, valid, d)
		}
		return
	}
	for _, change := range r.Changes {
		kept := strings.HasSuffix(change.Path, ".edited") // which no engine reads
		if err := readable(change.Path, change.After); err != nil && valid && !kept {
			t.Errorf("%s: %v\n%s\nbecame\n%s", change.Path, err, change.Before, change.After)
		}
	}
}

// readable reports whether an engine could read a file.
func readable(path string, text []byte) error {
	var v map[string]any
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	if filepath.Ext(path) == ".json" {
		return json.Unmarshal(text, &v)
	}
	return toml.Unmarshal(text, &v)
}

// leaves reports whether a file may name one outside of the test's folder.
func leaves(text []byte) bool {
	var v any
	if json.Unmarshal(text, &v) != nil {
		var table map[string]any
		_ = toml.Unmarshal(text, &table) // what is neither is not followed
		v = table
	}
	return holdsParent(v)
}

func holdsParent(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, "..")
	case []any:
		return slices.ContainsFunc(v, holdsParent)
	case map[string]any:
		for key, value := range v {
			if holdsParent(key) || holdsParent(value) {
				return true
			}
		}
	}
	return false
}
