package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/semver"

	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

// FuzzSettled: what one program settles for the hook, the hook reads so.
func FuzzSettled(f *testing.F) {
	f.Add("monotonic=+1d12h\nboottime/container=-1s\nsave=ns/db", "=0", "+36h", true)
	f.Add("boottime/default=+2d\nmonotonic/default/container=1", "", "-0.5s", false)
	f.Fuzz(func(t *testing.T, lines, mono, boot string, alone bool) {
		args := strings.Split(lines, "\n")
		if r, d, err := ParseSettled(args); err != nil {
			if !strings.HasPrefix(err.Error(), `argument "`) || !r.IsZero() || !d.IsZero() {
				t.Errorf("%q: %+v, %+v, %v", args, r, d, err)
			}
		} else {
			again := settledArgs(r, d)
			r2, d2, err := ParseSettled(again)
			if err != nil || d2 != d || r2.Save != r.Save || r2.Monotonic.Setting != r.Monotonic.Setting || r2.Boottime.Alone != r.Boottime.Alone {
				t.Errorf("%q, and as %q: %+v, %+v, %v", args, again, r2, d2, err)
			}
		}
		checkSettled(t, mono, boot, alone)
	})
}

// settledArgs writes what was read.
func settledArgs(r spec.Request, d config.Defaults) (args []string) {
	if r.Save != "" {
		args = append(args, keySave+"="+r.Save)
	}
	for _, c := range timens.AllClocks() {
		if s := d.Get(c); !s.IsZero() {
			args = append(args, c.String()+ofDefaults+"="+s.String())
		}
		if a := r.Get(c); !a.Setting.IsZero() {
			whose := ""
			if a.Alone {
				whose = ofContainer
			}
			args = append(args, c.String()+whose+"="+a.Setting.String())
		}
	}
	return args
}

// checkSettled hands a request over, to a hook that is run later.
func checkSettled(t *testing.T, mono, boot string, alone bool) {
	var r spec.Request
	for text, to := range map[string]*spec.Asked{mono: &r.Monotonic, boot: &r.Boottime} {
		if s, err := timens.ParseSetting(text); err == nil {
			*to = spec.Asked{Setting: s, Source: "annotation", Value: text, Alone: alone}
		}
	}
	a := Ask{Request: r, Config: config.Default(), Host: timens.Host{Clocks: timens.Clocks{Monotonic: time.Hour, Boottime: 96*time.Hour + 1}}}
	b := Bundle{HookPath: "/hook"}
	p, args, err := Settle(a, b)
	if err != nil {
		return
	}
	if (p.Mechanism == Hooks) != (len(args) > 0) {
		t.Errorf("%v, and arguments %q", p.Mechanism, args)
	}
	if a.Request, _, err = ParseSettled(args); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	a.Host.Clocks.Boottime += time.Minute
	again, err := ForBundle(a, b)
	if err == nil && again.Offsets == p.Offsets {
		return
	}
	// A minute later a clock may have come too close to what the kernel allows.
	if p.Offsets.Check(a.Host.Clocks) == nil {
		t.Errorf("%+v is settled as %q, %v, and that is %v, %v", r, args, p.Offsets, again.Offsets, err)
	}
}

// FuzzVersion compares with the order of semantic versioning.
func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.2.6", "1.1.5+ds1", "1.5.0-rc.1+dev", "1.2", "1.2.6-rc.1", "18446744073709551616.0.0", "01.2.6", "+1.2.6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		runc, crun := Runtime{"runc", s}, Runtime{"crun", s}
		if crun.Native() || crun.TakesTimeEntry() || (Runtime{"other", s}).Native() {
			t.Errorf("%q: crun, or what nobody knows, sets offsets", s)
		}
		if runc.Native() && !runc.TakesTimeEntry() {
			t.Errorf("runc %q sets offsets, and takes no time namespace", s)
		}
		if least := Least([]Runtime{{"runc", "1.5.2"}, runc}); least.Native() != runc.Native() {
			t.Errorf("of 1.5.2 and %q the least is %v", s, least)
		}
		if !semver.IsValid("v"+s) || slices.ContainsFunc(strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune(".-+", c) }), func(n string) bool { return len(n) > 18 }) {
			return
		}
		// "v1" is short for v1.0.0 there, and no version of a runtime.
		if short := strings.Count(strings.FieldsFunc(s, func(c rune) bool { return c == '-' || c == '+' })[0], ".") == 0; short {
			return
		}
		if want := semver.Compare("v"+s, "v1.2.6") >= 0; runc.Native() != want {
			t.Errorf("runc %q sets offsets: %v, want %v", s, runc.Native(), want)
		}
		if want := semver.Compare("v"+s, "v1.2.0") >= 0; semver.Prerelease("v"+s) == "" && runc.TakesTimeEntry() != want {
			t.Errorf("runc %q takes a time namespace: %v, want %v", s, runc.TakesTimeEntry(), want)
		}
	})
}
