package plan

import (
	"testing"

	"oci-timens/config"
	"oci-timens/timens"
)

// in puts a container into a pod, whose sandbox has offsets and whose containers have
// settled on others for what is to be read.
func in(mono, boot string, kept map[Reading]timens.Offset) func(*Ask) {
	return func(a *Ask) { a.Pod = &Pod{offsets(mono, boot), kept} }
}

func reading(c timens.Clock, s string) Reading { return Reading{c, setting(s)} }

func alone(a *Ask) { a.Request.Boottime.Alone = true }

func TestPod(t *testing.T) {
	kept := map[Reading]timens.Offset{
		reading(timens.Boottime, "=0"): offset("-70"), reading(timens.Boottime, "=5m"): offset("170"), reading(timens.Monotonic, "=0"): offset("-30"),
	}
	tests := []struct {
		name       string
		ask        Ask
		mono, boot string // "" for a container that is let through
		resolved   []Resolved
		wantErr    string
	}{
		{name: "a sandbox with clocks", ask: ask("", "=0", in("5", "-90", nil)), mono: "5", boot: "-90"},
		{name: "whatever has been kept", ask: ask("", "=0", in("5", "-90", kept)), mono: "5", boot: "-90"},
		{name: "whatever is asked for", ask: ask("+1h", "", in("5", "-90", nil)), mono: "5", boot: "-90"},
		{name: "the defaults of both", ask: ask("", "", defaults("=0", "=0"), in("-50", "-90", nil)), mono: "-50", boot: "-90"},
		{name: "one clock is its own", ask: ask("+1h", "+7", in("5", "-90", nil), alone), mono: "5", boot: "7"},
		{name: "its own is the host's", ask: ask("", "+0", in("0", "-90", nil), alone)},

		{name: "the first", ask: ask("", "=0", in("0", "0", nil)), mono: "0", boot: "-100", resolved: []Resolved{{reading(timens.Boottime, "=0"), offset("-100")}}},
		{name: "the first with both", ask: ask("=0", "=5m", in("0", "0", nil)), mono: "-60", boot: "200",
			resolved: []Resolved{{reading(timens.Monotonic, "=0"), offset("-60")}, {reading(timens.Boottime, "=5m"), offset("200")}}},
		{name: "another", ask: ask("", "=0", in("0", "0", kept)), mono: "0", boot: "-70"},
		{name: "the same, written otherwise", ask: ask("", "=300s", in("0", "0", kept)), mono: "0", boot: "170"},
		{name: "another with something else", ask: ask("=0", "=1h", in("0", "0", kept)), mono: "-30", boot: "3500", resolved: []Resolved{{reading(timens.Boottime, "=1h"), offset("3500")}}},
		{name: "the other clock's is not this one's", ask: ask("=5m", "", in("0", "0", kept)), mono: "240", boot: "0", resolved: []Resolved{{reading(timens.Monotonic, "=5m"), offset("240")}}},
		{name: "an offset", ask: ask("", "+36h", in("0", "0", kept)), mono: "0", boot: "129600"},
		{name: "its own reading", ask: ask("", "=0", in("0", "0", kept), alone), mono: "0", boot: "-100"},
		{name: "defaults", ask: ask("", "", defaults("", "=0"), in("0", "0", kept)), mono: "0", boot: "-70"},
		{name: "a sandbox with the clocks of a shifted host", ask: ask("", "=0", on(shifted), in("10", "10", kept)), mono: "10", boot: "-70"},
		{name: "kept a moment after these clocks were read", ask: ask("", "=0", in("0", "0", map[Reading]timens.Offset{reading(timens.Boottime, "=0"): offset("-100.01")})), mono: "0", boot: "-100.01"},

		{name: "a clock that is not allowed", ask: ask("", "=0", in("5", "-90", nil), policy(noBoottime)),
			wantErr: `annotation "io.timens.boottime": "=0" is denied by the configuration of this host: policy.clocks does not list boottime`},
		{name: "out of bounds", ask: ask("", "+1", in("5", "-90", nil), policy(bounds("-5", "5"))),
			wantErr: `annotation "io.timens.boottime": "+1" is denied by the configuration of this host: the offset -1m30s is below policy.min-offset -5s`},
		{name: "kept out of bounds", ask: ask("", "=0", in("0", "0", kept), policy(bounds("-5", "5"))),
			wantErr: `annotation "io.timens.boottime": "=0" is denied by the configuration of this host: the offset -1m10s is below policy.min-offset -5s`},
		{name: "ignored, and the defaults are shared", ask: ask("", "+1", in("0", "0", kept), policy(noBoottime), policy(ignoring), defaults("=0", "")), mono: "-30", boot: "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bundle, err := ForBundle(tt.ask, runc)
			init, err2 := ForInit(tt.ask, Init{Current: tt.ask.Host.Own})
			for _, got := range []struct {
				plan Plan
				err  error
				by   Mechanism
			}{{bundle, err, Native}, {init, err2, Remote}} {
				want := Plan{Mechanism: got.by, Reason: got.plan.Reason, Warnings: got.plan.Warnings, Resolved: tt.resolved}
				if want.Mechanism = PassThrough; tt.mono != "" {
					want.Mechanism, want.Offsets = got.by, offsets(tt.mono, tt.boot)
				}
				checkPlan(t, got.plan, got.err, want, tt.wantErr)
			}
		})
	}
}

// TestPodApplied has the hook see what the runtime has set already.
func TestPodApplied(t *testing.T) {
	both := map[timens.Clock]bool{timens.Monotonic: true, timens.Boottime: true}
	for name, tt := range map[string]struct {
		ask      Ask
		current  timens.Offsets
		want     Mechanism
		resolved []Resolved
	}{
		"the sandbox's":    {ask("", "=0", in("5", "-90", nil)), offsets("5", "-90"), PassThrough, nil},
		"other than those": {ask("", "=0", in("5", "-90", nil)), offsets("0", "-90"), PassThrough, nil}, // monotonic is config.json's own
		"kept":             {ask("", "=0", in("0", "0", map[Reading]timens.Offset{reading(timens.Boottime, "=0"): offset("-99")})), offsets("0", "-99"), PassThrough, nil},
		"not those kept":   {ask("", "=0", in("0", "0", map[Reading]timens.Offset{reading(timens.Boottime, "=0"): offset("-70")})), offsets("0", "-99"), Remote, nil},
		"just resolved": {ask("", "=0", in("0", "0", nil)), offsets("0", "-99"), PassThrough,
			[]Resolved{{reading(timens.Boottime, "=0"), offset("-99")}}},
	} {
		i := Init{Private: true, Current: tt.current}
		i.Spec.Present, i.Spec.Offsets, i.Spec.Listed = true, tt.current, both
		got, err := ForInit(tt.ask, i)
		want := Plan{Mechanism: tt.want, Offsets: got.Offsets, Reason: got.Reason, Resolved: tt.resolved}
		t.Run(name, func(t *testing.T) { checkPlan(t, got, err, want, "") })
	}
}

func TestNeedsKept(t *testing.T) {
	unshifted := in("0", "0", nil)
	for name, tt := range map[string]struct {
		ask  Ask
		want bool
	}{
		"in no pod":                     {ask("", "=0"), false},
		"a reading":                     {ask("+1", "=0", unshifted), true},
		"offsets":                       {ask("+1", "-1", unshifted), false},
		"its own reading":               {ask("", "=0", unshifted, alone), false},
		"the sandbox has clocks":        {ask("", "=0", in("0", "1", nil)), false},
		"defaults":                      {ask("", "", defaults("", "=0"), unshifted), true},
		"an offset instead of defaults": {ask("", "+1", defaults("", "=0"), unshifted), false},
		"it may come to the defaults":   {ask("", "+1", defaults("", "=0"), unshifted, policy(ignoring)), true},
		"for one reason alone": {ask("", "+1", defaults("", "=0"), unshifted,
			policy(func(p *config.Policy) { p.OnUnsupported = config.Ignore })), true},
	} {
		if got := tt.ask.NeedsKept(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
