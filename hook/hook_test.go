package hook

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Without the need of a container: what is refused, and what is nothing to do.
// Containers of real runtimes are in integration/.
func TestMainRefuses(t *testing.T) {
	bundle := t.TempDir()
	write(t, filepath.Join(bundle, "config.json"), `{"annotations":{"io.timens.boottime":"+1x"}}`)
	t.Setenv("TIMENS_CONFIG", emptyFile(t))
	self := os.Getpid()
	for name, tt := range map[string]struct {
		args  []string
		stdin string
		want  string
	}{
		"unknown stage":    {[]string{"prestart"}, "", `unknown stage "prestart": want createRuntime, poststart, poststop or precreate`},
		"two arguments":    {[]string{"precreate", "x"}, "", `unexpected argument "x": want one stage, createRuntime, poststart, poststop or precreate`},
		"no offset":        {[]string{"createRuntime", "x"}, state(self, "creating", "", bundle), `argument "x": want CLOCK=OFFSET`},
		"a bad offset":     {[]string{"poststart", "boottime==0"}, state(self, "creating", `"io.timens.monotonic":"bad"`, bundle), `argument "boottime==0": `},
		"settled":          {[]string{"createRuntime", "boottime=+1h"}, state(self, "creating", `"io.timens.monotonic":"bad"`, bundle), "is no container init that waits for this hook"},
		"no state":         {nil, "", "container state: "},
		"no JSON":          {nil, "{", "container state: "},
		"huge state":       {nil, `{"id":"` + strings.Repeat("x", 2<<20) + `"}`, "container state: larger than 1048576 bytes"},
		"bad annotation":   {nil, state(self, "creating", `"io.timens.monotonic":"36x"`, bundle), `annotation "io.timens.monotonic": "36x": unknown unit "x" (units are d h m s ms us ns) at position 3`},
		"unknown key":      {nil, state(self, "creating", `"io.timens.realtime":"+1h"`, bundle), `annotation "io.timens.realtime" is unknown`},
		"from config.json": {nil, state(self, "creating", "", bundle), `annotation "io.timens.boottime": "+1x": unknown unit "x"`},
		"no bundle":        {nil, state(self, "creating", "", bundle+"/none"), "no such file or directory"},
		"ourselves":        {nil, state(self, "creating", `"io.timens.monotonic":"+1h"`, bundle), "is no container init that waits for this hook"},
		"a dead process":   {nil, state(1<<22-1, "creating", `"io.timens.monotonic":"+1h"`, bundle), "process 4194303: "},
		"poststart too":    {[]string{"poststart"}, state(self, "running", `"io.timens.monotonic":""`, bundle), `annotation "io.timens.monotonic"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs strings.Builder
			status := Main(tt.args, strings.NewReader(tt.stdin), &out, &errs, "test")
			line, rest, _ := strings.Cut(errs.String(), "\n")
			if status != 1 || out.Len() > 0 || !strings.HasPrefix(line, "timens-hook: ") || !strings.Contains(line, tt.want) || rest != "" {
				t.Errorf("status %d, stdout %q, stderr %q\nwant %q", status, out.String(), errs.String(), tt.want)
			}
		})
	}
}

func TestMainNothingToDo(t *testing.T) {
	bundle := t.TempDir()
	write(t, filepath.Join(bundle, "config.json"), `{"ociVersion":"1.0.2"}`)
	t.Setenv("TIMENS_CONFIG", emptyFile(t))
	for name, stdin := range map[string]string{
		"nothing is asked":      state(os.Getpid(), "creating", `"other":"annotation"`, bundle),
		"without annotations":   state(os.Getpid(), "creating", "", bundle),
		"a restored container":  state(0, "stopped", `"io.timens.boottime":"+1d"`, bundle),
		"even with a bad value": state(0, "stopped", `"io.timens.boottime":"x"`, bundle),
	} {
		var out, errs strings.Builder
		for _, args := range [][]string{nil, {"createRuntime"}, {"poststart"}} {
			if status := Main(args, strings.NewReader(stdin), &out, &errs, "test"); status != 0 || out.Len()+errs.Len() > 0 {
				t.Errorf("%s, %q: status %d, %q, %q", name, args, status, out.String(), errs.String())
			}
		}
	}
}

func TestMainSays(t *testing.T) {
	var out, errs strings.Builder
	if s := Main([]string{"--version"}, nil, &out, &errs, "1.2.3"); s != 0 || out.String() != "timens-hook 1.2.3\n" || errs.Len() > 0 {
		t.Errorf("%d, %q, %q", s, out.String(), errs.String())
	}
	out.Reset()
	if s := Main([]string{"--help"}, nil, &out, &errs, "1.2.3"); s != 0 || out.String() != Usage {
		t.Errorf("%d, %q", s, out.String())
	}
}

func TestRootOption(t *testing.T) {
	for in, want := range map[string]string{
		"runc --root /r start c":         "/r",
		"runc --log l --root=/r start c": "/r",
		"runc -root /r start c":          "/r",
		"/usr/bin/runc start c":          "none",
		"runc --rootless true start c":   "none",
		"runc --debug start c --root":    "none",
		"runc":                           "none",
		"":                               "none",
	} {
		got, ok := runtimeOption(strings.Fields(in), "root")
		if !ok {
			got = "none"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

func TestStarts(t *testing.T) {
	for line, want := range map[string]bool{
		"runc --root /r start c":        true,
		"runc run -d -b /b c":           true,
		"crun restore c":                true,
		"runc start other":              false,
		"sh x.sh c":                     false,
		"conmon -c c -u c -r /bin/crun": false,
		"timensctl demo":                false,
		"start c":                       false,
	} {
		if got := starts(strings.Fields(line), "c"); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func state(pid int, status, annotations, bundle string) string {
	return fmt.Sprintf(`{"ociVersion":"1.0.2","id":"c","status":%q,"pid":%d,"bundle":%q,"annotations":{%s}}`, status, pid, bundle, annotations)
}

func emptyFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "config.toml")
	write(t, path, "")
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
