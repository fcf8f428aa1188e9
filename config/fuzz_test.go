package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"oci-timens/timens"
)

// FuzzConfig: what is accepted is complete, says what the same file says to who reads it
// without knowing its keys, and names the same runtimes to who reads nothing else.
func FuzzConfig(f *testing.F) {
	f.Add(DefaultTOML())
	f.Add([]byte("runtimes = [\"/bin/runc\"]\n[defaults]\nboottime = \"=0\"\n[[policy.deny]]\nannotation = \"a\"\n"))
	f.Add([]byte("policy.min-offset = -1.5\npolicy.allow = [{annotation = \"[a-z]\", value = \"\\\\\"}]\n"))
	f.Add([]byte("saved-dir = '/s'\nlog-level = \"debug\"\n[policy]\nclocks = []\nmax-saved = 0\non-denied = \"ignore\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, runtimes := Default(), Default()
		err := c.decode("fuzz.toml", data)
		if err != nil {
			checkMessage(t, err)
			return
		}
		if err := runtimes.decodeRuntimes("fuzz.toml", data); err != nil || !slices.Equal(c.Runtimes, runtimes.Runtimes) {
			t.Errorf("runtimes %q, and alone %q, %v", c.Runtimes, runtimes.Runtimes, err)
		}
		if len(c.Runtimes) == 0 || c.LogLevel == "" || c.Policy.OnDenied == "" || c.Policy.OnUnsupported == "" {
			t.Errorf("incomplete: %+v", c)
		}
		var says map[string]any
		if err := toml.Unmarshal(data, &says); err != nil {
			t.Fatal(err)
		}
		checkSays(t, c, says)
	})
}

// checkMessage wants one line that names the file.
func checkMessage(t *testing.T, err error) {
	t.Helper()
	if !strings.Contains(err.Error(), `"fuzz.toml"`) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error without the file, or of more than one line: %q", err)
	}
}

// checkSays compares with what a file says that has each key once, in its own case.
func checkSays(t *testing.T, c *Config, says map[string]any) {
	defaults, _ := says["defaults"].(map[string]any)
	policy, _ := says["policy"].(map[string]any)
	for key, is := range map[string]any{"log-level": c.LogLevel, "log-file": c.LogFile, "saved-dir": c.SavedDir} {
		if want, ok := says[key]; ok && len(says) == 1 && is != want {
			t.Errorf("%s is %q, want %q", key, is, want)
		}
	}
	for _, clock := range timens.AllClocks() {
		text, _ := defaults[clock.String()].(string)
		if want, err := timens.ParseSetting(text); len(defaults) == 1 && err == nil && c.Defaults.Get(clock) != want {
			t.Errorf("default of %v is %v, want %v", clock, c.Defaults.Get(clock), want)
		}
	}
	for key, is := range map[string]Reaction{"on-denied": c.Policy.OnDenied, "on-unsupported": c.Policy.OnUnsupported} {
		if want, ok := policy[key].(string); ok && len(policy) == 1 && is != Reaction(want) {
			t.Errorf("%s is %q, want %q", key, is, want)
		}
	}
	if len(says) == 0 && !reflect.DeepEqual(c, Default()) {
		t.Errorf("nothing said is %+v", c)
	}
}

// FuzzRule compares patterns with regular expressions.
func FuzzRule(f *testing.F) {
	f.Add("io.timens.*", "io.timens.boottime/container.x")
	f.Add(`a\*?*c`, "a*/bc")
	f.Add("kube-*", "team\n")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		var p rawPattern
		if p.UnmarshalText([]byte(pattern)) != nil {
			if (Rule{pattern, "*"}).Match(value, "") && pattern != "" {
				t.Errorf("%q is refused and matches %q", pattern, value)
			}
			return
		}
		// What stands for "/" while it is compared, and classes, are left out here.
		if strings.ContainsAny(pattern, "[\x00") || strings.Contains(value, "\x00") || !utf8.ValidString(pattern) || !utf8.ValidString(value) {
			return
		}
		want := expression(pattern).MatchString(value)
		if got := (Rule{pattern, "*"}).Match(value, ""); got != want {
			t.Errorf("%q matches %q as a key: %v, want %v", pattern, value, got, want)
		}
		if got := (Rule{"*", pattern}).Match("key", value); got != want {
			t.Errorf("%q matches %q as a value: %v, want %v", pattern, value, got, want)
		}
	})
}

func expression(pattern string) *regexp.Regexp {
	text, escaped := `(?s)^`, false
	for _, c := range pattern {
		switch {
		case escaped:
			text += regexp.QuoteMeta(string(c))
			escaped = false
		case c == '\\':
			escaped = true
		case c == '*':
			text += ".*"
		case c == '?':
			text += "."
		default:
			text += regexp.QuoteMeta(string(c))
		}
	}
	return regexp.MustCompile(text + "$")
}
