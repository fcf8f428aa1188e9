package plan

import (
	"strings"
	"testing"
	"time"

	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

// TestSettled hands over what was asked in every way, and reads it back.
func TestSettled(t *testing.T) {
	asked := func(s string, alone bool) spec.Asked {
		v, err := timens.ParseSetting(s)
		if err != nil {
			t.Fatal(err)
		}
		return spec.Asked{Setting: v, Source: "annotation", Value: s, Alone: alone}
	}
	max, err := timens.ParseOffset("+1d")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		request  spec.Request
		defaults config.Defaults
		policy   config.Policy
		want     string
		warns    bool
	}{
		"nothing":       {want: ""},
		"the host's":    {request: spec.Request{Monotonic: asked("+0", false)}, want: ""},
		"one clock":     {request: spec.Request{Boottime: asked("=0", false)}, want: "boottime=-4d0.000000001s"},
		"one's own":     {request: spec.Request{Monotonic: asked("+36h", false), Boottime: asked("-1s", true)}, want: "monotonic=+1d12h boottime/container=-1s"},
		"by default":    {defaults: config.Defaults{Monotonic: asked("+2d", false).Setting}, want: "monotonic/default=+2d"},
		"kept":          {request: spec.Request{Save: "ns/db"}, policy: config.Policy{MaxSaved: 1}, want: "save=ns/db"},
		"shifted, kept": {request: spec.Request{Boottime: asked("+1s", false), Save: "ns/db"}, policy: config.Policy{MaxSaved: 1}, want: "save=ns/db boottime=+1s"},
		"not allowed":   {request: spec.Request{Monotonic: asked("+36h", false)}, policy: config.Policy{MaxOffset: &max, OnDenied: config.Ignore}, warns: true},
		"but a default": {spec.Request{Monotonic: asked("+36h", false)}, config.Defaults{Boottime: asked("+2d", false).Setting}, config.Policy{MaxOffset: &max, OnDenied: config.Ignore}, "boottime/default=+2d", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := config.Default()
			tt.policy.Clocks = c.Policy.Clocks
			c.Defaults, c.Policy = tt.defaults, tt.policy
			host := timens.Host{Clocks: timens.Clocks{Monotonic: time.Hour, Boottime: 96*time.Hour + 1}}
			a := Ask{Request: tt.request, Config: c, Host: host}
			p, args, err := Settle(a, Bundle{HookPath: "/hook"})
			if got := strings.Join(args, " "); got != tt.want || err != nil || (len(p.Warnings) > 0) != tt.warns {
				t.Fatalf("%q, %v, %q, want %q", got, err, p.Warnings, tt.want)
			}
			r, d, err := ParseSettled(args)
			if err != nil {
				t.Fatal(err)
			}
			// To whoever is told so, with the same policy, but for who may ask.
			c.Defaults, a.Granted, a.Request, a.Host.Clocks.Boottime = d, true, r, a.Host.Clocks.Boottime+time.Hour
			c.Policy.Allow = []config.Rule{{Annotation: "x", Value: "y"}}
			again, err := ForBundle(a, Bundle{HookPath: "/hook"})
			if again.Offsets != p.Offsets || err != nil {
				t.Errorf("%v, %v, want %v", again.Offsets, err, p.Offsets)
			}
			if r.Save != p.Save {
				t.Errorf("to be kept as %q, want %q", r.Save, p.Save)
			}
			if r.Boottime.Alone != tt.request.Boottime.Alone {
				t.Errorf("alone is %v", r.Boottime.Alone)
			}
		})
	}
}

func TestSettledRefuses(t *testing.T) {
	for arg, want := range map[string]string{
		"":                    `argument "": want CLOCK=OFFSET`,
		"boottime":            `argument "boottime": want CLOCK=OFFSET`,
		"realtime=+1h":        `unknown clock "realtime"`,
		"boottime/pod=+1h":    `unknown clock "boottime/pod"`,
		"boottime==0":         `argument "boottime==0": `,
		"boottime/default=1x": `argument "boottime/default=1x": `,
	} {
		if _, _, err := ParseSettled([]string{"monotonic=+1s", arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
