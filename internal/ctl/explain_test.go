package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"oci-timens/config"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/internal/pod"
	"oci-timens/spec"
	"oci-timens/timens"
)

// situation is a host of one's own, up two hours.
type situation struct {
	config  *config.Config
	runtime lowlevel.Runtime
	kernel  plan.Kernel
	hook    string
}

func (s situation) Runtime() (plan.Runtime, error) {
	return plan.Runtime{Name: s.runtime.Name, Version: s.runtime.Version}, nil
}
func (s situation) Kernel(plan.Runtime) plan.Kernel { return s.kernel }
func (s situation) InPod(_ pod.Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	return decide(a)
}
func (s situation) Hook() string { return s.hook }
func (s situation) Clocks() (timens.Host, error) {
	return timens.Host{Clocks: timens.Clocks{Monotonic: time.Hour, Boottime: 2 * time.Hour}}, nil
}

const usual = `"linux":{"namespaces":[{"type":"pid"},{"type":"mount"}]}`

// What explain says of bundles, and that it leaves them alone.
func TestExplain(t *testing.T) {
	t.Setenv("PATH", "/bin") // which the hook gets
	denying := config.Default()
	denying.Policy.Clocks = []timens.Clock{timens.Boottime}
	byDefault := config.Default()
	byDefault.Defaults.Monotonic = timens.ReadsSetting(timens.Offset{})
	nowhere := config.Default()
	nowhere.SavedDir = "/nowhere"
	runc15 := lowlevel.Runtime{Path: "/usr/bin/runc", Name: "runc", Version: "1.5.2"}
	crun := lowlevel.Runtime{Path: "/usr/bin/crun", Name: "crun", Version: "1.8.1"}
	old := fmt.Errorf("kernel 5.10 does not: %w", timens.ErrNotSupported)
	var b bytes.Buffer
	for _, tt := range []struct {
		name, json string
		runtime    lowlevel.Runtime
		situation  situation
	}{
		{"nothing asked", `{` + usual + `}`, runc15, situation{}},
		{"native", `{"annotations":{"io.timens.monotonic":"+36h","io.timens.boottime":"-0.5s"},` + usual + `}`, runc15, situation{}},
		{"hooks", `{"annotations":{"io.timens.boottime":"=0"},` + usual + `}`, crun, situation{hook: "/bin/timens-hook"}},
		{"no hook", `{"annotations":{"io.timens.boottime":"=0"},` + usual + `}`, crun, situation{}},
		{"old kernel", `{"annotations":{"io.timens.boottime":"=0"},` + usual + `}`, lowlevel.Runtime{Path: "/usr/bin/runc", Name: "runc"},
			situation{hook: "/bin/timens-hook", kernel: plan.Kernel{ExecSwitch: old}}},
		{"default", `{` + usual + `}`, runc15, situation{config: byDefault}},
		{"denied", `{"annotations":{"io.timens.monotonic":"+36h"},` + usual + `}`, runc15, situation{config: denying}},
		{"bad value", `{"annotations":{"io.timens.monotonic":"soon"},` + usual + `}`, runc15, situation{}},
		{"crun's key", `{"annotations":{"run.oci.timens_offset":"boottime 5 0"},` + usual + `}`, runc15, situation{}},
		{"kept", `{"annotations":{"io.timens.save":"db","io.timens.resume":"saved-or-new:db","io.timens.boottime":"+1h"},` + usual + `}`, runc15,
			situation{config: nowhere, hook: "/bin/timens-hook"}},
		{"nothing saved", `{"annotations":{"io.timens.resume":"saved:db"},` + usual + `}`, runc15, situation{config: nowhere}},
		{"joins", `{"annotations":{"io.timens.monotonic":"+36h"},"linux":{"namespaces":[{"type":"time","path":"/proc/7/ns/time"}]}}`, runc15, situation{}},
	} {
		tt.situation.runtime = tt.runtime
		if tt.situation.config == nil {
			tt.situation.config = config.Default()
		}
		dir := t.TempDir()
		path := filepath.Join(dir, "config.json")
		if err := os.WriteFile(path, []byte(tt.json), 0o600); err != nil {
			t.Fatal(err)
		}
		f, doc, err := spec.OpenFile(dir, "config.json")
		if err != nil {
			t.Fatal(err)
		}
		e := explanation{bundle: "BUNDLE", runtime: tt.runtime, defaults: tt.situation.config.Defaults}
		err = errors.Join(e.decide(doc, tt.situation.config, tt.situation), f.Close())
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		fmt.Fprintf(&b, "== %s\n", tt.name)
		e.write(&b)
		if after, err := os.ReadFile(path); err != nil || string(after) != tt.json {
			t.Errorf("%s: config.json is %s now, %v", tt.name, after, err)
		}
	}
	golden(t, "explain.txt", b.String())
}

// The exit status says whether the container would start; what is no bundle is
// an error.
func TestExplainCommand(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TIMENS_CONFIG", "")
	runtime := filepath.Join(dir, "myrunc")
	if err := os.WriteFile(runtime, []byte("#!/bin/sh\necho runc version 1.5.2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := timensctl("explain", "--runtime", runtime, filepath.Join(dir, "none")); status != 1 || errs == "" {
		t.Errorf("no bundle: status %d, %q", status, errs)
	}
	for text, want := range map[string]int{`+1h`: 0, `later`: 1} {
		json := `{"annotations":{"io.timens.boottime":"` + text + `"},` + usual + `}`
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(json), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, out, errs := timensctl("explain", "--runtime", runtime, dir); status != want || errs != "" {
			t.Errorf("%s: status %d, %q, %q", text, status, out, errs)
		}
	}
}
