package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/config"
	"oci-timens/internal/engine"
	"oci-timens/internal/lowlevel"
	"oci-timens/timens"
)

func TestCheck(t *testing.T) {
	root := uint64(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SYS_TIME | 1<<unix.CAP_SYS_PTRACE)
	runtimes := []lowlevel.Runtime{{Path: "/usr/bin/runc", Name: "runc", Version: "1.5.2"}, {Path: "/usr/sbin/runc", Name: "runc", Version: "1.1.5+ds1"}, {Path: "/usr/bin/crun", Name: "crun", Version: "1.8.1"}}
	engines := []engine.Status{
		{Engine: engine.Podman, Version: "4.3.1", Problems: []string{"/x is not read"}, Ways: []engine.Way{{Mode: engine.ModeHook, File: "/hooks.d/x.json", Default: true,
			Works: []engine.Verdict{{What: "init", Works: true, Why: "it does"}, {What: "exec", Why: "it does not"}}}}},
		{Engine: engine.Docker, Version: "26.1.5", Ways: []engine.Way{{Mode: engine.ModeRuntime, Name: "timens", File: "/daemon.json", Default: true}}},
		{Engine: engine.CRIO},
	}
	no := func(text string) error { return fmt.Errorf("%s: %w", text, timens.ErrNotSupported) }
	var b bytes.Buffer
	for _, tt := range []struct {
		name     string
		anything bool
		facts
	}{
		{"everything", true, facts{capabilities: root, config: config.Default(), hook: "/bin/timens-hook", shim: "/bin/timens-runc", runtimes: runtimes, engines: engines}},
		{"old kernel", true, facts{capabilities: root, config: config.Default(), hook: "/bin/timens-hook", shim: "/bin/timens-runc", runtimes: runtimes,
			support: timens.Support{ExecSwitch: no("kernel 5.10 does not")}}},
		{"no ptrace", true, facts{capabilities: root, config: config.Default(), hook: "/bin/timens-hook", shim: "/bin/timens-runc", runtimes: runtimes,
			support: timens.Support{Ptrace: no("Yama forbids it")}}},
		{"no time namespaces", false, facts{capabilities: root, config: config.Default(), hook: "/bin/timens-hook", shim: "/bin/timens-runc", runtimes: runtimes,
			support: timens.Support{TimeNamespaces: no("kernel 4.19 has none"), ExecSwitch: no("kernel 4.19 has none")}}},
		{"hybrid cgroups", true, facts{capabilities: root, config: config.Default(), hook: "/bin/timens-hook", shim: "/bin/timens-runc", runtimes: runtimes[1:], hybrid: "hugetlb"}},
		{"a user, and nothing installed", false, facts{config: config.Default(), support: timens.Support{ExecSwitch: errors.New("could not try")}}},
		{"bad configuration", true, facts{capabilities: root, configErr: errors.New("line 3: no such key"), hook: "/bin/timens-hook", shim: "/bin/timens-runc", runtimes: runtimes[:1],
			runtimeErrs: []error{errors.New("low-level runtime: /bin/x --version: no answer")}}},
	} {
		tt.kernel, tt.configPath = "6.18.0", "/no/such/config.toml"
		r := judge(tt.facts)
		fmt.Fprintf(&b, "== %s\n", tt.name)
		r.write(&b)
		if r.anything() != tt.anything {
			t.Errorf("%s: anything() = %v", tt.name, r.anything())
		}
	}
	golden(t, "check.txt", b.String())
}
