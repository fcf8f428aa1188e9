package spec

import (
	"fmt"
	"strings"

	"oci-timens/timens"
)

const (
	saved      = "saved:"
	savedOrNew = "saved-or-new:"
	savedNames = `up to 64 letters, digits, "-", "_" and "."; the first one is a letter or a digit`
)

const wantResume = `a snapshot as timensctl snapshot prints it, or "saved:NAME" or "saved-or-new:NAME"`

// isSavedName reports whether a snapshot can be kept under a name: it is that of a file.
func isSavedName(s string) bool { return isName(s) && len(s) <= 64 }

// resumeValue reads the value of KeyResume.
func (p *parser) resumeValue(key string, a Asked) (set func(), err error) {
	if err := checkValue(key, a.Value, wantResume); err != nil {
		return nil, err
	}
	name, isSaved := strings.CutPrefix(a.Value, saved)
	orNew, isOrNew := strings.CutPrefix(a.Value, savedOrNew)
	if isOrNew {
		name = orNew
	}
	if isSaved || isOrNew {
		if !isSavedName(name) {
			return nil, fmt.Errorf("%s: %q is no name of a snapshot: %s", a.Source, brief(name), savedNames)
		}
		return func() { p.resumes = Saved{Name: name, OrNew: isOrNew, Asked: a} }, nil
	}
	if !strings.HasPrefix(a.Value, timens.SnapshotPrefix) {
		return nil, fmt.Errorf("%s: %q: want %s", a.Source, brief(a.Value), wantResume)
	}
	s, err := timens.ParseSnapshot(a.Value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Source, err)
	}
	a.Setting = timens.ResumeSetting(s)
	return func() { p.resumes = Saved{Asked: a} }, nil
}

// finish does what takes all annotations: names of snapshots are those of a pod's
// namespace, so that one tenant does not reach another's.
func (p *parser) finish(a map[string]string) error {
	if err := p.resume(); err != nil {
		return err
	}
	if p.Save == "" && p.Saved.Name == "" {
		return nil
	}
	namespace, err := podNamespace(a)
	if err != nil || namespace == "" {
		return err
	}
	for _, name := range []*string{&p.Save, &p.Saved.Name} {
		if *name != "" {
			*name = namespace + "/" + *name
		}
	}
	return nil
}

// resume has the clocks go on from a snapshot, but for those that a more specific key
// asks for. One that is as specific is a contradiction, unless it is there for when
// nothing has been saved.
func (p *parser) resume() error {
	sc := p.scopes[KeyResume]
	if sc == scopeNone {
		return nil
	}
	for _, c := range timens.AllClocks() {
		its := p.scopes[keyOf(c)]
		if its == sc && !p.resumes.OrNew {
			return fmt.Errorf("%s and %s contradict each other, for both ask for the %v clock: remove one", p.Get(c).Source, p.resumes.Source, c)
		}
		if its <= sc {
			p.resumes.Clocks = append(p.resumes.Clocks, c)
		}
	}
	if len(p.resumes.Clocks) == 0 {
		return nil
	}
	if p.Saved = p.resumes; p.Saved.Name == "" {
		s, _ := p.Saved.Setting.Resumes()
		p.Resume(s)
	}
	return nil
}
