package config

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"oci-timens/timens"
)

//go:embed default.toml
var defaultTOML []byte

// DefaultTOML returns a configuration file with every key and its default, keys
// without a default commented out.
func DefaultTOML() []byte { return bytes.Clone(defaultTOML) }

// rawFile is one file as TOML has it. Each value that needs a check has a type
// of its own with UnmarshalText, so that the decoder knows the line of an error.
// What a file leaves out stays nil or zero.
type rawFile struct {
	rawRuntimes
	LogLevel rawLevel `toml:"log-level"`
	LogFile  rawPath  `toml:"log-file"`
	SavedDir rawPath  `toml:"saved-dir"`
	Defaults struct {
		Monotonic timens.Setting `toml:"monotonic"`
		Boottime  timens.Setting `toml:"boottime"`
	} `toml:"defaults"`
	Policy struct {
		Clocks        []rawClock     `toml:"clocks"`
		MinOffset     *timens.Offset `toml:"min-offset"`
		MaxOffset     *timens.Offset `toml:"max-offset"`
		MaxSaved      *int           `toml:"max-saved"`
		Allow         []rawRule      `toml:"allow"`
		Deny          []rawRule      `toml:"deny"`
		OnDenied      rawReaction    `toml:"on-denied"`
		OnUnsupported rawReaction    `toml:"on-unsupported"`
	} `toml:"policy"`
}

// rawRuntimes is the part of a file that says which programs to run.
type rawRuntimes struct {
	Runtimes []rawRuntime `toml:"runtimes"`
}

type (
	rawRuntime  struct{ string }
	rawLevel    struct{ string }
	rawPath     struct{ string }
	rawPattern  struct{ string }
	rawClock    struct{ timens.Clock }
	rawReaction struct{ Reaction }
	rawRule     struct {
		Annotation rawPattern `toml:"annotation"`
		Value      rawPattern `toml:"value"`
	}
)

func (r *rawRuntime) UnmarshalText(text []byte) error {
	r.string = string(text)
	if r.string == "" || (strings.Contains(r.string, "/") && !filepath.IsAbs(r.string)) {
		return fmt.Errorf("low-level runtime %q is neither a name to look for in PATH nor an absolute path", text)
	}
	return nil
}

func (l *rawLevel) UnmarshalText(text []byte) error {
	switch l.string = string(text); l.string {
	case "error", "warning", "info", "debug":
		return nil
	}
	return fmt.Errorf("unknown log level %q: want error, warning, info or debug", text)
}

func (f *rawPath) UnmarshalText(text []byte) error {
	if f.string = string(text); !filepath.IsAbs(f.string) {
		return fmt.Errorf("%q is no absolute path", text)
	}
	return nil
}

func (p *rawPattern) UnmarshalText(text []byte) error {
	p.string = string(text)
	if p.string == "" {
		return errors.New("an empty pattern matches nothing: use \"*\" for anything")
	}
	if _, err := path.Match(noSlash(p.string), ""); err != nil {
		return fmt.Errorf("bad pattern %q: a \"[\" is not closed, or a backslash ends it", text)
	}
	return nil
}

func (c *rawClock) UnmarshalText(text []byte) (err error) {
	c.Clock, err = timens.ParseClock(string(text))
	return err
}

func (r *rawReaction) UnmarshalText(text []byte) error {
	switch r.Reaction = Reaction(text); r.Reaction {
	case Fail, Ignore:
		return nil
	}
	return fmt.Errorf("unknown reaction %q: want fail or ignore", text)
}

// decode reads one file into c, over what earlier files said. name is for
// messages.
func (c *Config) decode(name string, data []byte) error {
	var raw rawFile
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return describe(name, err)
	}
	if err := raw.check(); err != nil {
		return fmt.Errorf("configuration file %q: %w", name, err)
	}
	raw.apply(c)
	return nil
}

// decodeRuntimes is decode for the key runtimes alone.
func (c *Config) decodeRuntimes(name string, data []byte) error {
	var raw rawRuntimes
	if err := toml.Unmarshal(data, &raw); err != nil {
		return describe(name, err)
	}
	if err := raw.check(); err != nil {
		return fmt.Errorf("configuration file %q: %w", name, err)
	}
	raw.apply(c)
	return nil
}

// describe names the file, the line and the key of a decoder's error.
func describe(name string, err error) error {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) && len(missing.Errors) > 0 {
		first := missing.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("configuration file %q line %d: unknown key %q", name, line, strings.Join(first.Key(), "."))
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, _ := at.Position()
		where := fmt.Sprintf("configuration file %q line %d", name, line)
		if key := strings.Join(at.Key(), "."); key != "" {
			where += fmt.Sprintf(", key %q", key)
		}
		msg := strings.TrimPrefix(at.Error(), "toml: ")
		if kind, goType, ok := strings.Cut(msg, " into "); ok && strings.HasPrefix(goType, "struct field") {
			msg = kind + " here: wrong type" // the rest names Go types of this package
		}
		return fmt.Errorf("%s: %s", where, msg)
	}
	return fmt.Errorf("configuration file %q: %w", name, err)
}

func (r *rawRuntimes) check() error {
	if r.Runtimes != nil && len(r.Runtimes) == 0 {
		return errors.New("key \"runtimes\": the list is empty, name at least one low-level runtime")
	}
	return nil
}

// maxSaved is more than anybody looks through.
const maxSaved = 100000

// check finds what a single value cannot show.
func (r *rawFile) check() error {
	if err := r.rawRuntimes.check(); err != nil {
		return err
	}
	if n := r.Policy.MaxSaved; n != nil && (*n < 0 || *n > maxSaved) {
		return fmt.Errorf("key \"policy.max-saved\": %d is not between 0 and %d", *n, maxSaved)
	}
	if err := checkRules("policy.allow", r.Policy.Allow); err != nil {
		return err
	}
	return checkRules("policy.deny", r.Policy.Deny)
}

func checkRules(key string, rules []rawRule) error {
	for i, rule := range rules {
		if rule.Annotation.string == "" {
			return fmt.Errorf("key %q: rule %d has no annotation", key, i+1)
		}
	}
	return nil
}

func (r *rawRuntimes) apply(c *Config) {
	if r.Runtimes == nil {
		return
	}
	c.Runtimes = make([]string, len(r.Runtimes))
	for i, v := range r.Runtimes {
		c.Runtimes[i] = v.string
	}
}

// apply sets what the file says in c. Rules add up, so that a drop-in cannot
// drop a rule of another file without naming it; everything else is replaced.
func (r *rawFile) apply(c *Config) {
	r.rawRuntimes.apply(c)
	setIf(&c.LogLevel, r.LogLevel.string)
	setIf(&c.LogFile, r.LogFile.string)
	setIf(&c.SavedDir, r.SavedDir.string)
	setIf(&c.Defaults.Monotonic, r.Defaults.Monotonic)
	setIf(&c.Defaults.Boottime, r.Defaults.Boottime)
	p := &c.Policy
	if r.Policy.Clocks != nil {
		p.Clocks = make([]timens.Clock, len(r.Policy.Clocks))
		for i, v := range r.Policy.Clocks {
			p.Clocks[i] = v.Clock
		}
	}
	setIf(&p.MinOffset, r.Policy.MinOffset)
	setIf(&p.MaxOffset, r.Policy.MaxOffset)
	if r.Policy.MaxSaved != nil {
		p.MaxSaved = *r.Policy.MaxSaved
	}
	setIf(&p.OnDenied, r.Policy.OnDenied.Reaction)
	setIf(&p.OnUnsupported, r.Policy.OnUnsupported.Reaction)
	p.Allow = appendRules(p.Allow, r.Policy.Allow)
	p.Deny = appendRules(p.Deny, r.Policy.Deny)
}

func setIf[T comparable](to *T, v T) {
	var none T
	if v != none {
		*to = v
	}
}

func appendRules(rules []Rule, more []rawRule) []Rule {
	for _, r := range more {
		rule := Rule{Annotation: r.Annotation.string, Value: "*"}
		setIf(&rule.Value, r.Value.string)
		rules = append(rules, rule)
	}
	return rules
}
