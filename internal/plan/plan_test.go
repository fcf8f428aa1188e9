package plan

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

// host has been up 100 s, 40 s of which it slept.
var host = timens.Host{Clocks: timens.Clocks{Monotonic: 60 * time.Second, Boottime: 100 * time.Second}}

// shifted is the same host as seen from a container with +10 s on both clocks.
var shifted = timens.Host{Clocks: host.Clocks, Own: offsets("10", "10")}

func offset(s string) timens.Offset {
	o, err := timens.ParseOffset(s)
	if err != nil {
		panic(err)
	}
	return o
}

func offsets(mono, boot string) timens.Offsets {
	return timens.Offsets{Monotonic: offset(mono), Boottime: offset(boot)}
}

func setting(s string) timens.Setting {
	v, err := timens.ParseSetting(s)
	if err != nil {
		panic(err)
	}
	return v
}

func asked(key, value string) spec.Asked {
	if value == "" {
		return spec.Asked{}
	}
	return spec.Asked{Setting: setting(value), Source: `annotation "io.timens.` + key + `"`, Value: value}
}

// ask is a container that asks for two settings, "" for none.
func ask(mono, boot string, change ...func(*Ask)) Ask {
	a := Ask{
		Request:     spec.Request{Monotonic: asked("monotonic", mono), Boottime: asked("boottime", boot)},
		Annotations: map[string]string{"ns": "team-a/x", "io.timens.boottime": boot},
		Config:      config.Default(),
		Host:        host,
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

func defaults(mono, boot string) func(*Ask) {
	return func(a *Ask) {
		if mono != "" {
			a.Config.Defaults.Monotonic = setting(mono)
		}
		if boot != "" {
			a.Config.Defaults.Boottime = setting(boot)
		}
	}
}

func policy(f func(*config.Policy)) func(*Ask) { return func(a *Ask) { f(&a.Config.Policy) } }

func on(h timens.Host) func(*Ask) { return func(a *Ask) { a.Host = h } }

func ignoring(p *config.Policy) { p.OnDenied, p.OnUnsupported = config.Ignore, config.Ignore }

func noBoottime(p *config.Policy) { p.Clocks = []timens.Clock{timens.Monotonic} }

func denyTeamA(p *config.Policy) {
	p.Deny = []config.Rule{{Annotation: "other", Value: "*"}, {Annotation: "ns", Value: "team-a*"}}
}

func bounds(min, max string) func(*config.Policy) {
	lo, hi := offset(min), offset(max)
	return func(p *config.Policy) { p.MinOffset, p.MaxOffset = &lo, &hi }
}

// no is what a kernel answers that cannot do something.
type no string

func (e no) Error() string        { return string(e) }
func (e no) Is(target error) bool { return target == timens.ErrNotSupported }

var (
	oldKernel = Kernel{ExecSwitch: no("kernel 6.1 does not switch")}
	noKernel  = Kernel{TimeNamespaces: no("kernel 5.5 has no time namespaces"), ExecSwitch: no("neither")}
	anyKernel = Kernel{TimeNamespaces: errors.New("no /proc"), ExecSwitch: errors.New("could not tell")}
)

var cmpValues = cmp.AllowUnexported(timens.Offset{}, timens.Setting{})

// checkPlan compares got and err with want, whose Reason and Warnings are parts
// of the texts, or with the error text.
func checkPlan(t *testing.T, got Plan, err error, want Plan, wantErr string) {
	t.Helper()
	if wantErr != "" {
		if err == nil || err.Error() != wantErr {
			t.Errorf("got %+v, error %v\nwant error %s", got, err, wantErr)
		}
		return
	}
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
	if !strings.Contains(got.Reason, want.Reason) || want.Reason == "" {
		t.Errorf("reason %q, want %q", got.Reason, want.Reason)
	}
	want.Reason = got.Reason
	if d := cmp.Diff(want, got, cmpValues); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestNothing(t *testing.T) {
	c := config.Default()
	if !Nothing(spec.Request{Notes: []string{"deprecated"}}, c) {
		t.Error("an empty request without defaults is something")
	}
	if Nothing(ask("", "=0").Request, c) {
		t.Error("a request is nothing")
	}
	c.Defaults.Boottime = setting("=0")
	if Nothing(spec.Request{}, c) {
		t.Error("a default is nothing")
	}
}

func TestMechanismString(t *testing.T) {
	got := []string{PassThrough.String(), Native.String(), Hooks.String(), Remote.String(), Mechanism(9).String()}
	if d := cmp.Diff([]string{"pass through", "native", "hooks", "remote", "unknown"}, got); d != "" {
		t.Error(d)
	}
}
