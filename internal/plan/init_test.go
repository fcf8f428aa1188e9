package plan

import (
	"testing"

	"oci-timens/spec"
	"oci-timens/timens"
)

func TestForInit(t *testing.T) {
	both := map[timens.Clock]bool{timens.Monotonic: true, timens.Boottime: true}
	// What the shim wrote a second ago for "=0" on boottime, and runc acted on.
	written := spec.TimeSpec{Present: true, Offsets: offsets("0", "-99"), Listed: both}
	remote := func(mono, boot string) Plan {
		return Plan{Remote, offsets(mono, boot), "the container's init waits and gets its own time namespace", nil, nil, ""}
	}
	has := Plan{Reason: "the container already has the clocks asked for"}
	tests := []struct {
		name    string
		ask     Ask
		init    Init
		want    Plan
		wantErr string
	}{
		{"nothing", ask("", ""), Init{Threads: 5}, Plan{Reason: "no clock is asked for"}, ""},
		{"the host's namespace", ask("", "+1"), Init{Threads: 5}, remote("0", "1"), ""},
		{"the host's clocks", ask("+0", ""), Init{}, has, ""},
		{"the other clock stays", ask("", "+1"), Init{Private: true, Current: offsets("5", "0")}, remote("5", "1"), ""},
		{"already done by the runtime", ask("", "+1"), Init{Private: true, Current: offsets("0", "1")}, has, ""},
		{"a namespace that is the runtime's own", ask("", "+1"), Init{Current: offsets("0", "1")}, remote("0", "1"), ""},
		{"shifted host, its own clocks", ask("+0", "", on(shifted)), Init{Current: offsets("10", "10")}, has, ""},
		{"back to the host's", ask("+0", ""), Init{Private: true, Current: offsets("5", "0")}, remote("0", "0"), ""},
		{"defaults", ask("", "", defaults("", "+3")), Init{}, remote("0", "3"), ""},

		{"a reading that the runtime has set", ask("", "=0"), Init{Private: true, Current: offsets("0", "-99"), Spec: written}, has, ""},
		{"a reading that the runtime has set, and a clock that it has not", ask("+1", "=0"),
			Init{Private: true, Current: offsets("0", "-99"), Spec: written}, remote("1", "-99"), ""},
		{"not by the runtime", ask("", "=0"), Init{Private: true, Current: offsets("0", "-99")}, remote("0", "-100"), ""},
		{"not what config.json says", ask("", "=0"), Init{Private: true, Current: offsets("0", "-98"), Spec: written}, remote("0", "-100"), ""},
		{"config.json says another reading", ask("", "=10d"), Init{Private: true, Current: offsets("0", "-99"), Spec: written}, remote("0", "863900"), ""},
		{"a reading written long ago", ask("", "=0"), Init{Private: true, Current: offsets("0", "-20"),
			Spec: spec.TimeSpec{Present: true, Offsets: offsets("0", "-20"), Listed: both}}, remote("0", "-100"), ""},

		{"old kernel, one thread", ask("", "+1"), Init{Threads: 1, Kernel: oldKernel}, remote("0", "1"), ""},
		{"old kernel, more threads", ask("", "+1"), Init{Threads: 5, Kernel: oldKernel}, Plan{},
			"this host cannot give the container its clocks: the container's waiting init has 5 threads and cannot be moved on this kernel: kernel 6.1 does not switch"},
		{"no time namespaces", ask("", "+1"), Init{Threads: 1, Kernel: noKernel}, Plan{},
			"this host cannot give the container its clocks: the kernel is too old or built without them: kernel 5.5 has no time namespaces"},
		{"unsupported and ignored", ask("", "+1", policy(ignoring)), Init{Threads: 5, Kernel: oldKernel},
			Plan{Reason: "what is asked for is ignored, as policy.on-unsupported says", Warnings: []string{
				"this host cannot give the container its clocks: the container's waiting init has 5 threads and cannot be moved on this kernel: kernel 6.1 does not switch; " +
					"ignored, as policy.on-unsupported says: the container starts with other clocks"}}, ""},
		{"ignored, but obeyed by crun", ask("", "+1", policy(ignoring), crunKey), Init{Threads: 5, Kernel: oldKernel, Private: true, Current: offsets("0", "7200")}, Plan{},
			"this host cannot give the container its clocks: the container's waiting init has 5 threads and cannot be moved on this kernel: kernel 6.1 does not switch; " +
				`this is not ignored, as policy.on-unsupported says, because crun itself obeys annotation "run.oci.timens_offset": remove that`},
		{"denied", ask("", "+1", policy(noBoottime)), Init{}, Plan{},
			`annotation "io.timens.boottime": "+1" is denied by the configuration of this host: policy.clocks does not list boottime`},
		{"below zero", ask("", "-2m"), Init{}, Plan{},
			`annotation "io.timens.boottime": "-2m": offset -2m would set CLOCK_BOOTTIME to -20s, below zero: on this host it reads 1m40s; use "=0" for a clock that starts at zero`},
		{"a joined namespace", ask("", "+1"), Init{Spec: spec.TimeSpec{Present: true, Path: "/ns"}}, Plan{},
			`annotation "io.timens.boottime": "+1" cannot be given: config.json has the container join the time namespace "/ns", and the offsets of an existing namespace are fixed; remove the annotation, or the path`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ForInit(tt.ask, tt.init)
			checkPlan(t, got, err, tt.want, tt.wantErr)
		})
	}
}
