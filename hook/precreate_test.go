package hook

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oci-timens/spec"
)

// runtimes makes programs that only tell their version, and a configuration that
// names them.
func runtimes(t *testing.T, toml string, versions ...string) {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for i, v := range versions {
		p := filepath.Join(dir, fmt.Sprintf("runtime%d", i))
		if v != "" { // "" is not installed
			if err := os.WriteFile(p, []byte("#!/bin/sh\necho '"+v+"'\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		paths = append(paths, fmt.Sprintf("%q", p))
	}
	path := filepath.Join(dir, "config.toml")
	write(t, path, fmt.Sprintf("runtimes = [%s]\n%s", strings.Join(paths, ", "), toml))
	t.Setenv("TIMENS_CONFIG", path)
}

func callPrecreate(in string) (status int, out, errs string) {
	var o, e strings.Builder
	status = Main([]string{"precreate"}, strings.NewReader(in), &o, &e, "test")
	return status, o.String(), e.String()
}

const asksForAnHour = `{"annotations":{"io.timens.monotonic":"+1h"},"x":{"big":12345678901234567890.0},"linux":{"namespaces":[{"type":"pid"}]}}`

func TestPrecreate(t *testing.T) {
	const (
		time       = `{"type":"time"}],"timeOffsets":{"monotonic":{"secs":3600,"nanosecs":0}`
		create     = `"createRuntime":[{"path":"`
		poststart  = `"poststart":[{"path":"`
		rest       = `{"annotations":{"io.timens.monotonic":"+1h"},"x":{"big":12345678901234567890.0},"linux":{`
		modernRunc = "runc version 1.2.6"
	)
	for name, tt := range map[string]struct {
		versions []string
		has, not []string
	}{
		"native, and made sure of": {[]string{modernRunc}, []string{time, create}, []string{poststart}},
		"one is not installed":     {[]string{"", modernRunc, ""}, []string{time, create}, []string{poststart}},
		"an old runc":              {[]string{"runc version 1.1.5+ds1"}, []string{create, poststart}, []string{`"type":"time"`}},
		"it may be the old one":    {[]string{modernRunc, "runc version 1.2.5"}, []string{create, poststart}, []string{`"type":"time"`}},
		"it may be crun":           {[]string{modernRunc, "crun version 1.21"}, []string{create, poststart}, []string{`"type":"time"`}},
	} {
		t.Run(name, func(t *testing.T) {
			runtimes(t, "", tt.versions...)
			status, out, errs := callPrecreate(asksForAnHour)
			if status != 0 || errs != "" || !strings.HasPrefix(out, rest) {
				t.Fatalf("status %d, %q, %q", status, out, errs)
			}
			for _, s := range tt.has {
				if !strings.Contains(out, s) {
					t.Errorf("%s\nhas no %s", out, s)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(out, s) {
					t.Errorf("%s\nhas %s", out, s)
				}
			}
			_, second, _ := callPrecreate(out)
			_, third, _ := callPrecreate(second)
			if third != second || len(second) != len(out) { // the mark and the hooks change places
				t.Errorf("not the same when filtered again:\n%s\n%s\n%s", out, second, third)
			}
		})
	}
}

// TestPrecreatePassesThrough has containers that ask for nothing come out as they
// went in, whatever runtimes there are.
func TestPrecreatePassesThrough(t *testing.T) {
	runtimes(t, "", "")
	for _, in := range []string{
		`{}`,
		" {\"a\" : 1.0 , \"b\":\"\\u00e9\"}\r\n\n",
		`{"annotations":{"other":"1"},"hooks":{"poststart":[]},"a":1,"a":2}`,
		`{"annotations":{"io.timensx":"mentioned"}}`,
	} {
		if status, out, errs := callPrecreate(in); status != 0 || out != in || errs != "" {
			t.Errorf("%q: status %d, %q, %q", in, status, out, errs)
		}
	}
}

func TestPrecreateRefuses(t *testing.T) {
	const denies = "[policy]\nclocks = [\"boottime\"]\n"
	for name, tt := range map[string]struct{ toml, version, in, want string }{
		"empty":       {"", "runc version 1.5.2", "", "config.json: empty, where a JSON object is needed"},
		"white space": {"", "runc version 1.5.2", " \n", "config.json: empty, where a JSON object is needed"},
		"truncated":   {"", "runc version 1.5.2", asksForAnHour[:60], "config.json: line 1, column 60: unexpected end of JSON input"},
		"quietly so":  {"", "runc version 1.5.2", `{"a":`, "config.json: line 1, column 5: unexpected end of JSON input"},
		"no object":   {"", "runc version 1.5.2", `["io.timens.monotonic"]`, "config.json: an array, where a JSON object is needed"},
		"two of them": {"", "runc version 1.5.2", asksForAnHour + "{}", "after top-level value"},
		"too large":   {"", "runc version 1.5.2", `{"x":"` + strings.Repeat("x", spec.MaxConfigSize) + `"}`, "config.json on the standard input: larger than 16777216 bytes"},
		"bad value":   {"", "runc version 1.5.2", strings.Replace(asksForAnHour, "+1h", "+1x", 1), `annotation "io.timens.monotonic": "+1x": unknown unit "x" (units are d h m s ms us ns) at position 3`},
		"denied":      {denies, "runc version 1.5.2", asksForAnHour, `annotation "io.timens.monotonic": "+1h" is denied by the configuration of this host: policy.clocks does not list monotonic`},
		"joins":       {"", "runc version 1.5.2", strings.Replace(asksForAnHour, `"pid"`, `"time","path":"/x"`, 1), `config.json has the container join the time namespace "/x"`},
		"no runtime":  {"", "", asksForAnHour, "no low-level runtime found: looked for "},
		"bad toml":    {"colour = 1\n", "runc version 1.5.2", asksForAnHour, "colour"},
	} {
		t.Run(name, func(t *testing.T) {
			runtimes(t, tt.toml, tt.version)
			status, out, errs := callPrecreate(tt.in)
			if status != 1 || out != "" || !strings.HasPrefix(errs, "timens-hook: ") || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("status %d, stdout %.200q, stderr %q\nwant %q", status, out, errs, tt.want)
			}
		})
	}
}
