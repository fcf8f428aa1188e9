package spec

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"oci-timens/timens"
)

// FuzzAnnotations: a request is what its annotations say, and who has asked for it is who
// should win; an error names one of them. Each line is KEY, a space and the value, and
// most keys are written as the first letters of the real ones.
func FuzzAnnotations(f *testing.F) {
	f.Add("m +1h\nb/c.web =0\nN web", byte(1))
	f.Add("run.oci.timens_offset monotonic 1 0\nb -1d2h3.5s", byte(0))
	f.Add("r saved-or-new:db\nb =0\ns db\nn default", byte(1))
	f.Add("r/p v1:monotonic=12.000000001:boottime=20.5:realtime=1000:host-boottime=99.25:boot-id=00000000-1111-2222-3333-444444444444\nm/c.a +1s\nN a", byte(1))
	f.Add("io.timens.resume \nT sandbox\ns/p x", byte(2))
	f.Add("o monot"+strings.Repeat("\x06", 3900)+" 0 0", byte(1))
	f.Fuzz(func(t *testing.T, lines string, kind byte) {
		a := annotationsIn(lines, kind)
		r, err := ParseAnnotations(a)
		again, err2 := ParseAnnotations(maps.Clone(a))
		if !reflect.DeepEqual(r, again) || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("two answers: %v, %v and %v, %v", r, err, again, err2)
		}
		if err != nil {
			if !strings.Contains(err.Error(), `nnotation`) || len(err.Error()) > 2<<10+maxValue*4 || !r.IsZero() {
				t.Errorf("%q: %+v, %.9999s", a, r, err)
			}
			return
		}
		for _, c := range timens.AllClocks() {
			checkWinner(t, a, r, c)
		}
		for _, name := range []string{r.Save, r.Saved.Name} {
			if _, err := ParseSavedName(name); name == "" || err == nil && filepath.IsLocal(name) && !strings.HasPrefix(filepath.Base(name), ".") {
				continue
			}
			t.Errorf("%q: clocks are kept as %q", a, name)
		}
		if r.IsZero() && slices.ContainsFunc(ownKeys(a), func(k string) bool { return !strings.Contains(k, "/container.") }) {
			t.Errorf("%q asks for nothing", a)
		}
	})
}

// annotationsIn reads the form above; kind says what containerd makes the container.
func annotationsIn(lines string, kind byte) map[string]string {
	a := map[string]string{}
	switch kind % 4 {
	case 1:
		a[keyContainerdType] = typeContainer
	case 2:
		a[keyContainerdType] = typeSandbox
	}
	names := map[string]string{"m": KeyMonotonic, "b": KeyBoottime, "r": KeyResume, "s": KeySave, "o": KeyCrun,
		"N": keyContainerdName, "M": keyCrioName, "T": keyCrioType, "n": namespaceKeys[0], "k": namespaceKeys[1]}
	for line := range strings.SplitSeq(lines, "\n") {
		key, value, _ := strings.Cut(line, " ")
		base, whose, found := strings.Cut(key, "/")
		if name, ok := names[base]; ok {
			key = name
			if rest, isContainer := strings.CutPrefix(whose, "c."); isContainer {
				key += "/container." + rest
			} else if whose == "p" {
				key += "/pod"
			} else if found {
				key += "/" + whose
			}
		}
		a[key] = strings.ReplaceAll(value, ";", "\n")
	}
	return a
}

// checkWinner goes through the keys from the most specific one, as the documentation tells.
func checkWinner(t *testing.T, a map[string]string, r Request, c timens.Clock) {
	t.Helper()
	own, _ := agreed(a, keyContainerdName, keyCrioName)
	kind, _ := agreed(a, keyContainerdType, keyCrioType)
	asked := r.Get(c)
	if slices.Contains(r.Saved.Clocks, c) {
		asked = r.Saved.Asked
	}
	suffixes := []string{"/pod", ""}
	if kind != typeSandbox {
		suffixes = []string{"/container." + own, "/pod", ""}
	}
	for _, suffix := range suffixes {
		value, has := a[keyOf(c)+suffix]
		resume, resumes := a[KeyResume+suffix]
		if resumes {
			if has && !strings.HasPrefix(resume, savedOrNew) {
				t.Errorf("%q: both %s and %s are taken", a, keyOf(c), KeyResume)
			}
			value = resume
		}
		if has || resumes {
			if asked.Value != value || asked.Alone != strings.HasPrefix(suffix, "/container.") {
				t.Errorf("%q: the %v clock is asked to be %+v, want %q by %q", a, c, asked, value, suffix)
			}
			if s, err := timens.ParseSetting(value); !resumes && (err != nil || s != asked.Setting) {
				t.Errorf("%s %q was read as %v, %v", asked.Source, value, asked.Setting, err)
			}
			return
		}
	}
	if o, listed, err := timens.ParseKernelText(a[KeyCrun]); err == nil && listed[c] {
		if asked.Setting != timens.OffsetSetting(o.Get(c)) {
			t.Errorf("%q: the %v clock is asked to be %+v by crun's key", a, c, asked)
		}
		return
	}
	if asked.Value != "" || !asked.Setting.IsZero() {
		t.Errorf("%q: nobody has asked that the %v clock be %+v", a, c, asked)
	}
}
