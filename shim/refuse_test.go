package shim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRefusals(t *testing.T) {
	tests := []struct {
		name, json, toml string
		args             []string
		facts            func(*fakeFacts)
		want             string
	}{
		{"bad annotation", `{"annotations":{"io.timens.boottime":"+1x"}}`, "", nil, nil,
			`annotation "io.timens.boottime": "+1x": unknown unit "x" (units are d h m s ms us ns) at position 3`},
		{"denied", askJSON, "[policy]\nmax-offset = \"1m\"", nil, nil,
			`annotation "io.timens.boottime": "+1h" is denied by the configuration of this host: the offset +1h is above policy.max-offset +1m`},
		{"no hook", askJSON, "", nil, func(f *fakeFacts) { f.name, f.hookPath = "crun", "" },
			`and timens-hook, which can, was not found: install it beside timens-runc or in /usr/libexec/oci/hooks.d`},
		{"unknown runtime", askJSON, "", nil, func(f *fakeFacts) { f.name = "" }, "no answer"},
		{"no JSON", `{"io.timens.boottime`, "", nil, nil, "/config.json: "},
		{"no JSON for defaults", `{`, "defaults.boottime = \"=0\"", nil, nil, "/config.json: "},
		{"two time namespaces", `{"annotations":{"io.timens.boottime":"+1h"},"linux":{"namespaces":[{"type":"time"},{"type":"time"}]}}`, "", nil, nil,
			`linux.namespaces has two entries of type "time": remove one`},
		{"no bundle", askJSON, "", []string{"create", "-b", "@/no", "c1"}, nil, "/bundle/no: no such file or directory"},
		{"bad configuration", plainJSON, "on-denied = 1", nil, nil, `config.toml" line 3: unknown key "on-denied"`},
		{"no TOML", plainJSON, "on-denied", []string{"state", "c1"}, nil, `config.toml" line 3`},
		{"no runtime", plainJSON, "", []string{"state", "c1"}, nil, "no low-level runtime found"},
		{"ambiguous", askJSON, "", []string{"--new", "x", "create", "-b", "@", "c1"}, nil, `unknown option "--new": `},
		{"unknown option", askJSON, "", []string{"run", "--new", "--"}, nil, `unknown option "--new": `},
		{"no value", askJSON, "", []string{"run", "c1", "-b"}, nil, `option "--bundle" lacks its value`},
		{"what only crun understands", askJSON, "", []string{"create", "--config", "x.json", "c1"}, nil,
			`option "--config": it is known of crun alone which file it means, and runc 1.5.2 is to be run; leave it out, and name the file config.json`},
		{"what runc may come to understand", askJSON, "", []string{"create", "-config", "x.json", "c1"}, nil, `option "-config": it is known of crun alone`},
		{"an ID to crun alone", askJSON, "", []string{"run", "-bundle", "@"}, func(f *fakeFacts) { f.name = "crun" },
			`option "-bundle": runc and other runtimes understand it differently; write it with two dashes, and its value as the next word`},
		{"what only runc understands", plainJSON, "", []string{"create", "-b=@", "c1"}, func(f *fakeFacts) { f.name = "crun" },
			`: runc and other runtimes understand it differently; write it with two dashes, and its value as the next word`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.json, tt.toml)
			if tt.facts != nil {
				tt.facts(&w.facts)
			}
			if tt.name == "no runtime" {
				os.Remove(w.runtime())
			}
			if tt.args == nil {
				tt.args = []string{"create", "--bundle", "@", "c1"}
			}
			status := w.run(append([]string{"--log", w.log, "--log-format", "json"}, tt.args...)...)
			if status != 1 || len(w.execs) > 0 {
				t.Errorf("exit status %d, execs %q", status, w.execs)
			}
			msg, ok := strings.CutPrefix(w.stderr.String(), "timens-runc: ")
			if !ok || !strings.Contains(msg, tt.want) || strings.Count(msg, "\n") != 1 {
				t.Errorf("stderr %q\nwant one line with %q", &w.stderr, tt.want)
			}
			var line struct{ Level, Msg, Time string }
			if err := json.Unmarshal([]byte(w.read(t, "engine.log")), &line); err != nil || line.Level != "error" || line.Msg+"\n" != msg {
				t.Errorf("engine's log %+v, %v", line, err)
			}
			if _, err := time.Parse(time.RFC3339, line.Time); err != nil {
				t.Error(err)
			}
			if got := w.read(t, "bundle/config.json"); got != tt.json {
				t.Errorf("config.json is now %s", got)
			}
			if e, _ := os.ReadDir(w.bundle); len(e) != 1 {
				t.Errorf("left in the bundle: %v", e)
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	w := newWorld(t, askJSON, "policy.clocks = [\"monotonic\"]\npolicy.on-denied = \"ignore\"")
	if status := w.run("--log="+w.log, "create", "-b", "@", "c1"); status != 0 || w.stderr.Len() > 0 || len(w.execs) != 1 {
		t.Errorf("exit status %d, stderr %q, execs %q", status, &w.stderr, w.execs)
	}
	for _, name := range []string{"engine.log", "own.log"} {
		if text := w.read(t, name); !strings.Contains(text, "level=warning") || !strings.Contains(text, "ignored, as policy.on-denied says") {
			t.Errorf("%s: %q", name, text)
		}
	}
	if got := w.read(t, "bundle/config.json"); got != askJSON {
		t.Errorf("config.json is now %s", got)
	}
}

// Logs that cannot be written take nothing away from the message, and keep no
// container from starting.
func TestLogsThatFail(t *testing.T) {
	w := newWorld(t, `{"annotations":{"io.timens.boottime":""}}`, "")
	w.run("--log", w.dir+"/no/log", "create", "-b", "@", "c1")
	if s := w.stderr.String(); !strings.Contains(s, `annotation "io.timens.boottime"`) ||
		!strings.HasSuffix(s, " (and the log cannot be written: open "+w.dir+"/no/log: no such file or directory)\n") {
		t.Errorf("stderr %q", s)
	}
	w = newWorld(t, askJSON, "")
	if err := os.Mkdir(filepath.Join(w.dir, "own.log"), 0o755); err != nil {
		t.Fatal(err)
	}
	if status := w.run("--log", "file:"+w.log, "create", "-b", "@", "c1"); status != 0 {
		t.Errorf("exit status %d, %s", status, &w.stderr)
	}
	if text := w.read(t, "engine.log"); !strings.Contains(text, "level=warning msg=\"log file of the configuration: ") {
		t.Errorf("engine's log %q", text)
	}
}
