package spec

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"oci-timens/timens"
)

// The annotations that ask for clocks.
const (
	// Prefix begins every annotation of this project; what else begins with it
	// is refused, so that a misspelt key does not pass for no request.
	Prefix = "io.timens."
	// KeyMonotonic and KeyBoottime hold a clock setting, as read by
	// timens.ParseSetting. "/pod" or "/container.NAME" may follow.
	KeyMonotonic = Prefix + "monotonic"
	KeyBoottime  = Prefix + "boottime"
	// KeyResume holds the snapshot of clocks that both go on from, as read by
	// timens.ParseSnapshot, or "saved:NAME" or "saved-or-new:NAME" for one that was kept
	// on this host. "/pod" or "/container.NAME" may follow.
	KeyResume = Prefix + "resume"
	// KeySave holds the NAME under which a snapshot is kept when the container has ended.
	KeySave = Prefix + "save"
	// KeyCrun is what crun 0.12 to 1.8.3 took: text that it wrote to
	// /proc/self/timens_offsets as it was.
	KeyCrun = "run.oci.timens_offset"
)

// The keys by which containerd and CRI-O say which container of a pod this is.
const (
	keyContainerdName = "io.kubernetes.cri.container-name"
	keyContainerdType = "io.kubernetes.cri.container-type"
	keyCrioName       = "io.kubernetes.cri-o.ContainerName"
	keyCrioType       = "io.kubernetes.cri-o.ContainerType"
	typeSandbox       = "sandbox"
)

// maxValue is the longest value of an annotation, in bytes. The kernel takes no
// more for timens_offsets (a page), and a clock setting is far shorter.
const maxValue = 4095

// scope says for whom a key is meant; the larger wins.
type scope int

const (
	scopeNone scope = iota
	scopeCrun
	scopeAll
	scopePod
	scopeContainer
)

// ParseAnnotations returns what the annotations of a container ask for. For
// each clock the most specific key wins: KEY/container.NAME for the container of
// that name, then KEY/pod, then KEY, then run.oci.timens_offset. The name is the
// one that containerd or CRI-O give in annotations of their own; the sandbox of
// a pod has none. Every key is checked, also one that does not win. An error
// quotes the first bad key in sorted order.
func ParseAnnotations(a map[string]string) (Request, error) {
	var p parser
	for _, key := range ownKeys(a) {
		var err error
		if key == KeyCrun {
			err = p.crun(a[key])
		} else {
			err = p.own(a, key)
		}
		if err != nil {
			return Request{}, err
		}
	}
	if err := p.finish(a); err != nil {
		return Request{}, err
	}
	return p.Request, nil
}

// Mentioned reports whether the text of a config.json may hold any key of ours,
// KeyApplied among them: all of them have the same word in them behind a dot. (Without
// that utimensat, which is in the seccomp profile of every engine, would be one.)
func Mentioned(config []byte) bool {
	return mentions(config, ".timens", `\u002e`, `\u002E`)
}

// mentions reports whether a string in the text of a config.json may hold one of some
// words, of lower-case letters and what is in them as it stands. It can be told from bytes that stand
// for nothing else, valid JSON or not: letters are themselves or \u006x and \u007x. That is
// ten times as fast as to parse it.
func mentions(config []byte, words ...string) bool {
	return slices.ContainsFunc(append(words, `\u006`, `\u007`), func(s string) bool { return bytes.Contains(config, []byte(s)) })
}

// parser collects a request, and remembers who has asked for it.
type parser struct {
	Request
	scopes  map[string]scope // by the key without what follows it
	resumes Saved            // of KeyResume; its Name is "" where Setting is known
}

// wins reports whether nobody more specific has asked by the same key.
func (p *parser) wins(base string, sc scope) bool {
	if sc <= p.scopes[base] {
		return false
	}
	if p.scopes == nil {
		p.scopes = map[string]scope{}
	}
	p.scopes[base] = sc
	return true
}

// take takes a setting unless a more specific key has asked.
func (p *parser) take(c timens.Clock, sc scope, a Asked) {
	if p.wins(keyOf(c), sc) {
		p.set(c, a)
	}
}

// own reads one of this project's keys.
func (p *parser) own(a map[string]string, key string) error {
	base, sc, name, err := parseKey(key)
	if err != nil {
		return err
	}
	asked := Asked{Source: source(key), Value: a[key], Alone: sc == scopeContainer}
	set, err := p.value(key, base, asked)
	if err != nil {
		return err
	}
	if sc == scopeContainer {
		if mine, err := isContainer(a, key, name); !mine {
			return err
		}
	}
	if p.wins(base, sc) {
		set()
	}
	return nil
}

// value checks the value of a key. What it asks for is asked when set is called.
func (p *parser) value(key, base string, a Asked) (set func(), err error) {
	switch base {
	case KeyResume:
		return p.resumeValue(key, a)
	case KeySave:
		if !isSavedName(a.Value) {
			return nil, fmt.Errorf("%s: %q is no name for a snapshot: %s", a.Source, brief(a.Value), savedNames)
		}
		return func() { p.Save = a.Value }, nil
	}
	if err := checkValue(key, a.Value, `an offset such as "+36h", or "=0" for a clock that starts at zero`); err != nil {
		return nil, err
	}
	if a.Setting, err = timens.ParseSetting(a.Value); err != nil {
		return nil, fmt.Errorf("%s: %w", a.Source, err)
	}
	return func() {
		for _, c := range timens.AllClocks() {
			if base == keyOf(c) {
				p.set(c, a)
			}
		}
	}, nil
}

// crun reads the lines of crun's old key. A clock without a line keeps what it
// has.
func (p *parser) crun(value string) error {
	if err := checkValue(KeyCrun, value, `lines such as "monotonic 3600 0"`); err != nil {
		return err
	}
	offsets, listed, err := timens.ParseKernelText(value)
	if err != nil {
		return fmt.Errorf("%s: %w", source(KeyCrun), err)
	}
	var instead []string
	for _, c := range timens.AllClocks() {
		if listed[c] {
			s := timens.OffsetSetting(offsets.Get(c))
			p.take(c, scopeCrun, Asked{Setting: s, Source: source(KeyCrun), Value: value})
			instead = append(instead, keyOf(c)+"="+s.String())
		}
	}
	p.Notes = append(p.Notes, fmt.Sprintf("%s is deprecated: use %s", source(KeyCrun), strings.Join(instead, " and ")))
	return nil
}

// ownKeys returns the sorted keys that are for us. "io.timens/…" is among them:
// it can only be a misspelling.
func ownKeys(a map[string]string) []string {
	var keys []string
	for k := range a {
		if IsOwnKey(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// IsOwnKey reports whether an annotation is for us.
func IsOwnKey(key string) bool {
	rest, ok := strings.CutPrefix(key, strings.TrimSuffix(Prefix, "."))
	return key == KeyCrun || ok && (rest == "" || rest[0] == '.' || rest[0] == '/')
}

func keyOf(c timens.Clock) string { return Prefix + c.String() }

// parseKey splits a key into what it is about and for whom it is meant.
func parseKey(key string) (base string, sc scope, name string, err error) {
	base, suffix, found := strings.Cut(key, "/")
	if slices.Contains([]string{KeyMonotonic, KeyBoottime, KeyResume, KeySave}, base) {
		if !found {
			return base, scopeAll, "", nil
		}
		if suffix == "pod" {
			return base, scopePod, "", nil
		}
		if name, ok := strings.CutPrefix(suffix, "container."); ok {
			if !isName(name) {
				return "", 0, "", fmt.Errorf("%s: %q is no container name: letters, digits, \"-\", \"_\" and \".\" follow \"container.\"",
					source(key), brief(name))
			}
			return base, scopeContainer, name, nil
		}
	}
	return "", 0, "", fmt.Errorf("%s is unknown: the keys are %s and %s, %s and %s, each with /pod or /container.NAME",
		source(key), KeyMonotonic, KeyBoottime, KeyResume, KeySave)
}

// isName reports whether s has the characters that an annotation key and a
// container name can have.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("-_.", rune(c))) {
			return false
		}
	}
	return s != ""
}

func checkValue(key, value, want string) error {
	switch {
	case value == "":
		return fmt.Errorf("%s: the value %q is empty: want %s", source(key), value, want)
	case len(value) > maxValue:
		return fmt.Errorf("%s: the value %q is %d bytes long, at most %d are allowed: want %s",
			source(key), brief(value), len(value), maxValue, want)
	}
	return nil
}

func source(key string) string { return "annotation " + strconv.Quote(brief(key)) }

// brief shortens what may be of any length, for a message.
func brief(s string) string {
	const most = 256
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
