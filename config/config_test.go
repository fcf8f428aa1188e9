package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oci-timens/timens"
)

// write makes files below a new directory and returns the path of config.toml,
// which need not be among them.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.toml")
}

var cmpValues = cmp.AllowUnexported(timens.Setting{}, timens.Offset{})

func offset(t *testing.T, s string) *timens.Offset {
	t.Helper()
	o, err := timens.ParseOffset(s)
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

func setting(t *testing.T, s string) timens.Setting {
	t.Helper()
	v, err := timens.ParseSetting(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDefaultTOMLIsTheDefault(t *testing.T) {
	c, err := LoadFile(write(t, map[string]string{"config.toml": string(DefaultTOML())}))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Default(), c, cmpValues); d != "" {
		t.Errorf("DefaultTOML is not Default() (-want +got):\n%s", d)
	}
}

// Every key that is commented out in the default file is one that the decoder
// knows, with a value that it takes.
func TestDefaultTOMLUncommented(t *testing.T) {
	text := regexp.MustCompile(`(?m)^#((\[\[)?[a-z-]+(\.[a-z]+\]\])?( = .*)?)$`).ReplaceAll(DefaultTOML(), []byte("$1"))
	c, err := LoadFile(write(t, map[string]string{"config.toml": string(text)}))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.LogFile = "/var/log/oci-timens.log"
	want.Defaults = Defaults{setting(t, "=0"), setting(t, "=0")}
	want.Policy.MinOffset, want.Policy.MaxOffset = offset(t, "-3650d"), offset(t, "3650d")
	want.SavedDir = "/var/lib/oci-timens/saved"
	want.Policy.Deny = []Rule{{"io.kubernetes.cri.sandbox-namespace", "kube-*"}, {"io.kubernetes.pod.namespace", "kube-*"}}
	want.Policy.Allow = []Rule{{"io.kubernetes.cri.sandbox-namespace", "*"}}
	if d := cmp.Diff(want, c, cmpValues); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestLoadFile(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  func(*Config)
	}{
		{"nothing there", nil, func(*Config) {}},
		{"empty", map[string]string{"config.toml": ""}, func(*Config) {}},
		{"drop-ins without a main file, in lexical order", map[string]string{
			"config.d/20.toml":    `log-level = "debug"`,
			"config.d/10.toml":    "log-level = \"error\"\nruntimes = [\"/opt/runc\"]",
			"config.d/.30.toml":   "nonsense",
			"config.d/40.toml.rs": "nonsense",
		}, func(c *Config) { c.LogLevel, c.Runtimes = "debug", []string{"/opt/runc"} }},
		{"later files replace, rules add up", map[string]string{
			"config.toml": "[policy]\nclocks = [\"boottime\"]\nmax-offset = \"1d\"\non-denied = \"ignore\"\n" +
				"deny = [{annotation = \"a*\", value = \"1\"}]",
			"config.d/a.toml": "[policy]\nclocks = [\"monotonic\"]\nmax-offset = 3600\n[[policy.deny]]\nannotation = \"b\"",
		}, func(c *Config) {
			c.Policy.Clocks = []timens.Clock{timens.Monotonic}
			c.Policy.MaxOffset = offset(t, "1h")
			c.Policy.OnDenied = Ignore
			c.Policy.Deny = []Rule{{"a*", "1"}, {"b", "*"}}
		}},
		{"no clock at all", map[string]string{"config.toml": "policy.clocks = []"},
			func(c *Config) { c.Policy.Clocks = []timens.Clock{} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := Default()
			tt.want(want)
			got, err := LoadFile(write(t, tt.files))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpValues); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestLoadFileErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"syntax", "\nruntimes = [", `line 2: array is incomplete`},
		{"unknown key", "[policy]\nclock = 1", `line 2: unknown key "policy.clock"`},
		{"unknown table", "[polcy]\nclocks = []", `line 1: unknown key "polcy"`},
		{"key twice", "log-level = \"info\"\nlog-level = \"info\"", `line 2, key "log-level": key log-level is already defined`},
		{"type", "runtimes = \"runc\"", `line 1, key "runtimes": cannot decode TOML string here: wrong type`},
		{"no runtime", "runtimes = []", `: key "runtimes": the list is empty, name at least one low-level runtime`},
		{"relative runtime", "runtimes = [\"bin/runc\"]",
			`line 1, key "runtimes": low-level runtime "bin/runc" is neither a name to look for in PATH nor an absolute path`},
		{"level", "log-level = \"loud\"", `line 1, key "log-level": unknown log level "loud": want error, warning, info or debug`},
		{"relative log file", "log-file = \"log\"", `line 1, key "log-file": "log" is no absolute path`},
		{"relative folder", "saved-dir = \"x/y\"", `line 1, key "saved-dir": "x/y" is no absolute path`},
		{"too few", "[policy]\nmax-saved = -1", `key "policy.max-saved": -1 is not between 0 and 100000`},
		{"setting", "[defaults]\nboottime = \"=0x\"",
			`line 2, key "defaults.boottime": "=0x": unknown unit "x" (units are d h m s ms us ns) at position 3`},
		{"clock", "[policy]\nclocks = [\"realtime\"]",
			`line 2, key "policy.clocks": unknown clock "realtime": the clocks of a time namespace are monotonic and boottime`},
		{"offset", "policy.min-offset = \"=0\"", `line 1, key "policy.min-offset": "=0": '=' where a digit is needed at position 1`},
		{"reaction", "policy.on-denied = \"warn\"", `line 1, key "policy.on-denied": unknown reaction "warn": want fail or ignore`},
		{"pattern", "policy.deny = [{annotation = \"[a\"}]", `bad pattern "[a": a "[" is not closed, or a backslash ends it`},
		{"empty pattern", "policy.deny = [{annotation = \"a\", value = \"\"}]", `an empty pattern matches nothing: use "*" for anything`},
		{"rule without annotation", "policy.allow = [{value = \"a\"}]", `: key "policy.allow": rule 1 has no annotation`},
		{"bounds", "[policy]\nmin-offset = \"2d\"\nmax-offset = \"1d\"",
			`with its drop-ins: policy.min-offset +2d is above policy.max-offset +1d`},
		{"default not allowed", "defaults.boottime = \"=0\"\npolicy.clocks = [\"monotonic\"]",
			`with its drop-ins: defaults.boottime is "=0", but policy.clocks does not allow that clock`},
		{"huge", strings.Repeat("#", maxSize+1), `is larger than 1048576 bytes`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := write(t, map[string]string{"config.toml": tt.text})
			_, err := LoadFile(p)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), p) {
				t.Errorf("got error %v\nwant one with %s and %s", err, p, tt.want)
			}
		})
	}
}

func TestLoadFileRefusesFiles(t *testing.T) {
	p := write(t, map[string]string{"config.toml": "", "config.d/a.toml/file": ""})
	if _, err := LoadFile(p); err == nil || !strings.HasSuffix(err.Error(), `a.toml" is no regular file`) {
		t.Errorf("a directory as drop-in: %v", err)
	}
}

func TestLoadNamedByEnvironment(t *testing.T) {
	p := write(t, map[string]string{"config.toml": `log-level = "debug"`})
	t.Setenv(EnvPath, p)
	if c, err := Load(); err != nil || c.LogLevel != "debug" {
		t.Errorf("Load() = %+v, %v", c, err)
	}
	t.Setenv(EnvPath, p+".missing")
	_, err := Load()
	if want := `TIMENS_CONFIG names the configuration file "` + p + `.missing", which does not exist`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadRuntimes(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string // joined by a space, or the error
	}{
		"nothing there": {map[string]string{"config.toml": ""}, "runc crun"},
		"mistakes elsewhere": {map[string]string{
			"config.toml":     "runtimes = [\"crun\"]\ncolour = \"blue\"\nlog-level = 3\n[policy]\nclocks = \"all\"\nmin-offset = \"1d\"\nmax-offset = 0\n[[policy.deny]]",
			"config.d/a.toml": "runtimes = [\"/bin/runc\"]\ndefaults = []",
		}, "/bin/runc"},
		"a bad name":    {map[string]string{"config.toml": "x = 1\nruntimes = [\"a/b\"]"}, `line 2, key "runtimes": low-level runtime "a/b" is neither`},
		"none":          {map[string]string{"config.toml": "runtimes = []"}, `key "runtimes": the list is empty`},
		"no TOML":       {map[string]string{"config.toml": "runtimes = [\"crun\"]\npolicy ="}, `config.toml" line 2: `},
		"no TOML there": {map[string]string{"config.toml": "", "config.d/a.toml": "["}, `a.toml" line 1: `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(EnvPath, write(t, tt.files))
			got, err := LoadRuntimes()
			if err == nil && strings.Join(got, " ") != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestRuleMatch(t *testing.T) {
	tests := []struct {
		rule       Rule
		key, value string
		want       bool
	}{
		{Rule{"io.timens.*", "*"}, "io.timens.boottime/container.db", "=0", true}, // "*" crosses "/"
		{Rule{"a?c", "*"}, "a/c", "", true},
		{Rule{"[a-c]x", "*"}, "bx", "1", true},
		{Rule{"ns", "team-*"}, "ns", "team-a/b", true},
		{Rule{"ns", "team-*"}, "ns", "xteam-a", false},
		{Rule{"ns", "*"}, "nsx", "1", false},
		{Rule{`a\*`, "*"}, "a*", "", true},
		{Rule{`a\*`, "*"}, "ab", "", false},
	}
	for _, tt := range tests {
		if got := tt.rule.Match(tt.key, tt.value); got != tt.want {
			t.Errorf("%+v matches %q=%q: %v, want %v", tt.rule, tt.key, tt.value, got, tt.want)
		}
	}
}
