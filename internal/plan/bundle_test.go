package plan

import (
	"slices"
	"testing"

	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

const hookPath = "/usr/libexec/oci/hooks.d/timens-hook"

var (
	runc     = Bundle{Runtime: Runtime{"runc", "1.5.2"}, HookPath: hookPath, NewPID: true}
	oldRunc  = Bundle{Runtime: Runtime{"runc", "1.1.5+ds1"}, HookPath: hookPath, NewPID: true}
	crun     = Bundle{Runtime: Runtime{"crun", "1.8.1"}, HookPath: hookPath, NewPID: true}
	listsOne = spec.TimeSpec{Present: true, Offsets: offsets("5", "0"), Listed: map[timens.Clock]bool{timens.Monotonic: true}}
)

func with(b Bundle, change func(*Bundle)) Bundle { change(&b); return b }

func kernel(k Kernel) func(*Bundle)          { return func(b *Bundle) { b.Kernel = k } }
func timeSpec(s spec.TimeSpec) func(*Bundle) { return func(b *Bundle) { b.Time = s } }
func noHook(b *Bundle)                       { b.HookPath = "" }
func filtered(b *Bundle)                     { b.Filtered = true }
func save(a *Ask)                            { a.Request.Save = "db" }

func TestForBundle(t *testing.T) {
	native := func(mono, boot string) Plan {
		return Plan{Mechanism: Native, Offsets: offsets(mono, boot), Reason: "runc 1.5.2 sets time offsets itself"}
	}
	pass := func(reason string, warnings ...string) Plan { return Plan{Reason: reason, Warnings: warnings} }
	ignored := "; ignored, as policy.on-denied says: the container starts with other clocks"
	tests := []struct {
		name    string
		ask     Ask
		bundle  Bundle
		want    Plan
		wantErr string
	}{
		// What is resolved.
		{"nothing", ask("", ""), runc, pass("no clock is asked for"), ""},
		{"one clock, the other is the host's", ask("+1h", ""), runc, native("1h", "0"), ""},
		{"both, below a second", ask("-0.5", "+1.000000001"), runc, native("-0.5", "1.000000001"), ""},
		{"a reading", ask("=0", "=1h"), runc, native("-60", "3500"), ""},
		{"the host's own", ask("+0", "+0s"), runc, pass("the clocks asked for are those of this host"), ""},
		{"config.json has the other clock", ask("", "+1"), with(runc, timeSpec(listsOne)), native("5", "1"), ""},
		{"config.json is put back to the host's", ask("+0", ""), with(runc, timeSpec(listsOne)), native("0", "0"), ""},
		{"a time entry without offsets", ask("", "+1"), with(runc, timeSpec(spec.TimeSpec{Present: true})), native("0", "1"), ""},
		{"relative to a shifted host", ask("+1", "", on(shifted)), runc, native("11", "10"), ""},
		{"a reading on a shifted host", ask("", "=0", on(shifted)), runc, native("10", "-100"), ""},

		// Defaults.
		{"defaults", ask("", "", defaults("=0", "")), runc, native("-60", "0"), ""},
		{"an annotation drops the defaults", ask("", "+1", defaults("=0", "=0")), runc, native("0", "1"), ""},
		{"defaults are not bound by the rules", ask("", "", defaults("", "+9"), policy(denyTeamA), policy(bounds("0", "1"))), runc, native("0", "9"), ""},
		{"defaults and a joined namespace", ask("", "", defaults("", "+9")), with(runc, timeSpec(spec.TimeSpec{Present: true, Path: "/ns"})),
			pass(`the container joins the time namespace "/ns", and defaults do not apply to it`), ""},

		// Policy.
		{"clock not allowed", ask("", "+1", policy(noBoottime)), runc, Plan{},
			`annotation "io.timens.boottime": "+1" is denied by the configuration of this host: policy.clocks does not list boottime`},
		{"the other clock is allowed", ask("+1", "", policy(noBoottime)), runc, native("1", "0"), ""},
		{"denied by rule", ask("+1", "+2", policy(denyTeamA)), runc, Plan{},
			`annotation "io.timens.monotonic": "+1" is denied by the configuration of this host: annotation "ns": "team-a/x" matches rule 2 of policy.deny`},
		{"deny before allow", ask("", "+2", policy(denyTeamA), policy(func(p *config.Policy) { p.Allow = p.Deny })), runc, Plan{},
			`annotation "io.timens.boottime": "+2" is denied by the configuration of this host: annotation "ns": "team-a/x" matches rule 2 of policy.deny`},
		{"allowed by rule", ask("", "+2", policy(func(p *config.Policy) { p.Allow = []config.Rule{{Annotation: "n?", Value: "team-*"}} })), runc, native("0", "2"), ""},
		{"allowed by no rule", ask("", "+2", policy(func(p *config.Policy) { p.Allow = []config.Rule{{Annotation: "ns", Value: "team-b*"}} })), runc, Plan{},
			`annotation "io.timens.boottime": "+2" is denied by the configuration of this host: no annotation of the container matches a rule of policy.allow`},
		{"within bounds", ask("-5", "+5", policy(bounds("-5", "5"))), runc, native("-5", "5"), ""},
		{"below", ask("-5.000000001", "", policy(bounds("-5", "5"))), runc, Plan{},
			`annotation "io.timens.monotonic": "-5.000000001" is denied by the configuration of this host: the offset -5.000000001s is below policy.min-offset -5s`},
		{"above", ask("", "=1h", policy(bounds("-5", "5"))), runc, Plan{},
			`annotation "io.timens.boottime": "=1h" is denied by the configuration of this host: the offset +58m20s is above policy.max-offset +5s`},
		{"bounds are relative to a shifted host", ask("", "+5", policy(bounds("-5", "5")), on(shifted)), runc, native("10", "15"), ""},
		{"denied and ignored", ask("", "+1", policy(noBoottime), policy(ignoring)), runc,
			pass("what is asked for is ignored, as policy.on-denied says",
				`annotation "io.timens.boottime": "+1" is denied by the configuration of this host: policy.clocks does not list boottime`+ignored), ""},
		{"denied and ignored: the defaults come back", ask("", "+1", policy(denyTeamA), policy(ignoring), defaults("+7", "")), runc,
			Plan{Native, offsets("7", "0"), "runc 1.5.2", []string{`annotation "io.timens.boottime": "+1" is denied by the configuration of this host: ` +
				`annotation "ns": "team-a/x" matches rule 2 of policy.deny` + ignored}, nil, ""}, ""},

		{"denied and ignored: the defaults cannot be", ask("", "+1", policy(denyTeamA), policy(ignoring), defaults("-400d", "")), runc, Plan{},
			`configuration key "defaults.monotonic": "-400d": offset -400d would set CLOCK_MONOTONIC to -399d23h59m, below zero: on this host it reads 1m; use "=0" for a clock that starts at zero`},

		// What the kernel and config.json refuse, whatever the policy says.
		{"below zero", ask("", "-400d", policy(ignoring)), runc, Plan{},
			`annotation "io.timens.boottime": "-400d": offset -400d would set CLOCK_BOOTTIME to -399d23h58m20s, below zero: on this host it reads 1m40s; use "=0" for a clock that starts at zero`},
		{"beyond 146 years", ask("60000d", ""), runc, Plan{},
			`annotation "io.timens.monotonic": "60000d": offset +60000d would set CLOCK_MONOTONIC to 60000d1m: on this host it reads 1m, and the kernel allows no clock beyond 53375d23h53m38s (146 years)`},
		{"beyond 64 bits", ask("", "9223372036854775807", on(shifted)), runc, Plan{},
			`annotation "io.timens.boottime": "9223372036854775807": +10s plus +106751991167300d15h30m7s overflows 64-bit seconds`},
		{"the clock not asked for", ask("", "+1"), with(runc, timeSpec(spec.TimeSpec{Offsets: offsets("-1d", "0"), Listed: listsOne.Listed})), Plan{},
			`the monotonic clock that the container has without asking: offset -1d would set CLOCK_MONOTONIC to -23h59m, below zero: on this host it reads 1m; use "=0" for a clock that starts at zero`},
		{"a joined namespace", ask("", "+1", policy(ignoring)), with(runc, timeSpec(spec.TimeSpec{Present: true, Path: "/proc/7/ns/time"})), Plan{},
			`annotation "io.timens.boottime": "+1" cannot be given: config.json has the container join the time namespace "/proc/7/ns/time", and the offsets of an existing namespace are fixed; remove the annotation, or the path`},

		// Mechanism.
		{"runc 1.1", ask("", "+1"), oldRunc, Plan{Hooks, offsets("0", "1"),
			"runc 1.1.5+ds1 cannot set time offsets well by itself, runc 1.2.6 and later can; timens-hook does it", nil, nil, ""}, ""},
		{"runc of unknown version", ask("", "+1"), with(runc, func(b *Bundle) { b.Runtime.Version = "" }),
			Plan{Hooks, offsets("0", "1"), "runc of unknown version cannot", nil, nil, ""}, ""},
		{"crun", ask("", "+1"), crun, Plan{Hooks, offsets("0", "1"), "crun 1.8.1 sets time offsets, but not with every kind of container; timens-hook does it", nil, nil, ""}, ""},
		{"crun with a user namespace", ask("", "+1"), with(crun, func(b *Bundle) { b.NewUser = true }),
			Plan{Hooks, offsets("0", "1"), "crun 1.8.1 cannot set time offsets in a new user namespace; timens-hook does it", nil, nil, ""}, ""},
		{"crun in the host's pid namespace", ask("", "+1"), with(crun, func(b *Bundle) { b.NewPID = false }),
			Plan{Hooks, offsets("0", "1"), "crun 1.8.1 sets no time offsets without a new pid namespace; timens-hook does it", nil, nil, ""}, ""},
		{"something else", ask("", "+1"), with(runc, func(b *Bundle) { b.Runtime = Runtime{"kata-runtime", "3.2"} }),
			Plan{Hooks, offsets("0", "1"), "nothing is known of time offsets in kata-runtime 3.2; timens-hook does it", nil, nil, ""}, ""},
		{"filtered", ask("", "+1"), with(runc, filtered), Plan{Native, offsets("0", "1"), "runc 1.5.2 sets time offsets itself, and timens-hook makes sure", nil, nil, ""}, ""},
		{"native needs neither hook nor exec switch", ask("", "+1"), with(with(runc, noHook), kernel(oldKernel)), native("0", "1"), ""},
		{"crun needs no exec switch", ask("", "+1"), with(crun, kernel(oldKernel)), Plan{Hooks, offsets("0", "1"), "crun 1.8.1", nil, nil, ""}, ""},
		{"clocks are kept", ask("", "+1", save), runc, Plan{Native, offsets("0", "1"), "runc 1.5.2", nil, nil, "db"}, ""},
		{"and nothing else", ask("", "", save), runc, Plan{Reason: "no clock is asked for", Save: "db"}, ""},
		{"those of defaults, too", ask("", "", save, defaults("", "+9")), runc, Plan{Native, offsets("0", "9"), "runc 1.5.2", nil, nil, "db"}, ""},
		{"those of a joined namespace", ask("", "", save, defaults("", "+9")), with(runc, timeSpec(spec.TimeSpec{Present: true, Path: "/ns"})),
			Plan{Reason: `the container joins the time namespace "/ns"`, Save: "db"}, ""},
		{"they may not be kept", ask("", "", save, defaults("", "+9"), policy(func(p *config.Policy) { p.MaxSaved = 0 })), runc, Plan{},
			`annotation "io.timens.save": "db" is denied by the configuration of this host: policy.max-saved is 0`},
		{"a rule denies that they are kept", ask("", "", save, defaults("", "+9"), policy(denyTeamA)), runc, Plan{},
			`annotation "io.timens.save": "db" is denied by the configuration of this host: annotation "ns": "team-a/x" matches rule 2 of policy.deny`},
		{"nobody there to keep them", ask("", "+1", save), with(runc, noHook), Plan{},
			"this host cannot give the container its clocks: timens-hook, which keeps clocks, was not found: install it beside timens-runc or in /usr/libexec/oci/hooks.d"},
		{"what was saved was not looked up", ask("", "", func(a *Ask) { a.Request.Saved = spec.Saved{Name: "db", Asked: spec.Asked{Source: "resume"}} }), runc, Plan{},
			"resume: what was saved as \"db\" has not been looked up"},
		{"runc 1.1 without the hook", ask("", "+1"), with(oldRunc, noHook), Plan{},
			"this host cannot give the container its clocks: runc 1.1.5+ds1 cannot set time offsets well by itself, runc 1.2.6 and later can; " +
				"and timens-hook, which can, was not found: install it beside timens-runc or in /usr/libexec/oci/hooks.d"},
		{"runc 1.1 on an old kernel", ask("", "+1"), with(oldRunc, kernel(oldKernel)), Plan{},
			"this host cannot give the container its clocks: runc 1.1.5+ds1 cannot set time offsets well by itself, runc 1.2.6 and later can; " +
				"and its waiting init cannot be moved on this kernel: kernel 6.1 does not switch"},
		{"could not tell is no for the exec switch only", ask("", "+1"), with(oldRunc, kernel(anyKernel)), Plan{},
			"this host cannot give the container its clocks: runc 1.1.5+ds1 cannot set time offsets well by itself, runc 1.2.6 and later can; " +
				"and its waiting init cannot be moved on this kernel: could not tell"},
		{"no time namespaces", ask("", "+1"), with(runc, kernel(noKernel)), Plan{},
			"this host cannot give the container its clocks: the kernel is too old or built without them: kernel 5.5 has no time namespaces"},
		{"no time namespaces, ignored", ask("", "+1", policy(ignoring), defaults("+7", "")), with(runc, kernel(noKernel)),
			pass("what is asked for is ignored, as policy.on-unsupported says",
				"this host cannot give the container its clocks: the kernel is too old or built without them: kernel 5.5 has no time namespaces; "+
					"ignored, as policy.on-unsupported says: the container starts with other clocks"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ForBundle(tt.ask, tt.bundle)
			checkPlan(t, got, err, tt.want, tt.wantErr)
		})
	}
}

func TestNative(t *testing.T) {
	tests := []struct {
		name, version string
		want          bool
	}{
		{"runc", "1.2.6", true}, {"runc", "1.2.5", false}, {"runc", "1.2.6-rc.1", false}, {"runc", "1.3.0-rc.1", true},
		{"runc", "1.5.0-rc.1+dev", true}, {"runc", "1.1.5+ds1", false}, {"runc", "2.0", true}, {"runc", "1.10.0", true},
		{"runc", "", false}, {"runc", "unknown", false}, {"runc", "1.5.2.1", false}, {"runc", "1.-5.2", false},
		{"youki", "0.7.0", true}, {"youki", "0.6.0", false}, {"crun", "1.28", false}, {"runsc", "9.9.9", false},
	}
	for _, tt := range tests {
		if got := (Runtime{tt.name, tt.version}).Native(); got != tt.want {
			t.Errorf("%s %q is native: %v, want %v", tt.name, tt.version, got, tt.want)
		}
	}
}

func TestTakesTimeEntry(t *testing.T) {
	for r, want := range map[Runtime]bool{
		{"runc", "1.1.5+ds1"}: false, {"runc", "1.2.0-rc.1"}: true, {"runc", "1.2.0"}: true, {"runc", ""}: true,
		{"crun", "1.8.1"}: false, {"crun", ""}: false, {"youki", "0.6.0"}: true,
	} {
		if got := r.TakesTimeEntry(); got != want {
			t.Errorf("%v: %v", r, got)
		}
	}
}

func TestStages(t *testing.T) {
	for _, tt := range []struct {
		bundle    Bundle
		mechanism Mechanism
		want      []string
		saving    []string
	}{
		{runc, Native, nil, []string{"createRuntime", "poststop"}},
		{runc, PassThrough, nil, []string{"createRuntime", "poststop"}},
		{oldRunc, Hooks, []string{"createRuntime", "poststart"}, []string{"createRuntime", "poststart", "poststop"}},
		{crun, Hooks, []string{"createRuntime"}, []string{"createRuntime", "poststop"}},
		{with(runc, filtered), Native, []string{"createRuntime"}, []string{"createRuntime", "poststop"}},
		{with(crun, filtered), Hooks, []string{"createRuntime", "poststart"}, []string{"createRuntime", "poststart", "poststop"}}, // it may be runc
		{with(runc, filtered), PassThrough, nil, []string{"createRuntime", "poststop"}},
	} {
		for save, want := range map[string][]string{"": tt.want, "db": tt.saving} {
			if got := tt.bundle.Stages(Plan{Mechanism: tt.mechanism, Save: save}); !slices.Equal(got, want) {
				t.Errorf("%v, %v, %q: %q, want %q", tt.bundle.Runtime, tt.mechanism, save, got, want)
			}
		}
	}
}

func TestLeast(t *testing.T) {
	modern, old, crun, other := Runtime{"runc", "1.5.2"}, Runtime{"runc", "1.1.5"}, Runtime{"crun", "1.21"}, Runtime{"other", "1"}
	for _, tt := range []struct {
		all  []Runtime
		want Runtime
	}{
		{[]Runtime{modern}, modern},
		{[]Runtime{modern, old}, old},
		{[]Runtime{modern, other, old}, other},
		{[]Runtime{modern, old, crun}, crun},
		{[]Runtime{crun, modern}, crun},
	} {
		if got := Least(tt.all); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.all, got, tt.want)
		}
	}
}
