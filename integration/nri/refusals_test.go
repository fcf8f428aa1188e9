package nri

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

// began is what containerd puts before the text of a plugin.
const began = "failed to get NRI adjustment for container: rpc error: code = Unknown desc = timens-nri: "

// refused creates a container that must not be there, and checks what kubelet would put
// into the pod's events.
func (e *engine) refused(t *testing.T, p *cri.Pod, name, want string) {
	t.Helper()
	err := e.cri.CreateContainer(t.Context(), p, &cri.Container{Name: name, Image: image})
	if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 4096 {
		t.Errorf("%.5000v, want %s", err, want)
	}
}

// TestRefusals has pods ask for what they cannot have.
func TestRefusals(t *testing.T) {
	for _, s := range []stack{stacks[0], stacks[3]} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, s, "")
			t.Run("malformed", e.testMalformed)
			t.Run("policy", e.testPolicy)
			t.Run("configuration", e.testConfiguration)
			t.Run("hook", e.testHook)
			t.Run("hostile", e.testHostile)
			t.Run("records", e.testRecords)
			if left := e.keeps(t); left != nil {
				t.Errorf("records of pods are left: %q", left)
			}
		})
	}
}

func (e *engine) testMalformed(t *testing.T) {
	const key = "io.timens.boottime"
	for _, tt := range []struct{ key, value, want string }{
		{key, "", `annotation "io.timens.boottime": the value "" is empty`},
		{key, "5 days", `annotation "io.timens.boottime": "5 days": `},
		{key, "=-1s", `annotation "io.timens.boottime": "=-1s": `},
		{key, "+1h\x00", `annotation "io.timens.boottime": "+1h\x00": `},
		{key, "+99999999999999999999d", `annotation "io.timens.boottime": "+99999999999999999999d": `},
		{key, "-400d", `annotation "io.timens.boottime": "-400d": offset -400d would set CLOCK_BOOTTIME to -`},
		{key, "+147y", `annotation "io.timens.boottime": "+147y": `},
		{key, "+60000d", `the kernel allows no clock beyond`},
		{key, strings.Repeat("x", 1<<20), `…" is 1048576 bytes long, at most 4095 are allowed`},
		{key + "/container.", "=0", `annotation "io.timens.boottime/container.": "" is no container name`},
		{key + "/container.a b", "=0", `"a b" is no container name`},
		{key + "/pods", "=0", `annotation "io.timens.boottime/pods" is unknown: the keys are io.timens.monotonic and io.timens.boottime, io.timens.resume and io.timens.save, each with /pod or /container.NAME`},
		{key + "/container.other", "x", `annotation "io.timens.boottime/container.other": "x": `},
		{"io.timens.realtime", "+1h", `annotation "io.timens.realtime" is unknown`},
		{"io.timens", "+1h", `annotation "io.timens" is unknown`},
		{"run.oci.timens_offset", "realtime 1 0", `annotation "run.oci.timens_offset": line 1 "realtime 1 0": unknown clock "realtime"`},
	} {
		want := began + tt.want
		if !strings.HasPrefix(tt.want, "annotation") {
			want = tt.want
		}
		e.refused(t, e.pod(t, map[string]string{tt.key: tt.value}), "a", want)
	}
	text, err := e.get("/metrics")
	if err != nil || !strings.Contains(text, `timens_nri_requests_total{result="refused"} 16`) {
		t.Errorf("%v: %s", err, text)
	}
	for _, part := range []string{`"namespace":"tests"`, `"pod":"`, `"uid":"`, `"container":"a"`, `"level":"warning"`} {
		if !strings.Contains(e.plugin.Log(), part) {
			t.Errorf("the log has no %s", part)
		}
	}
}

// testPolicy has rules on who a pod is, which no annotation can change.
func (e *engine) testPolicy(t *testing.T) {
	const dropIn = "/etc/oci-timens/config.d/50-policy.toml"
	e.m.Write(dropIn, `[policy]
max-offset = "1d"
[[policy.allow]]
annotation = "io.kubernetes.pod.namespace"
value = "trusted*"
[[policy.allow]]
annotation = "example.com/may"
[[policy.deny]]
annotation = "io.kubernetes.cri.sandbox-name"
value = "bad-*"
`, 0o644)
	defer e.m.Run("rm", dropIn)
	run := func(namespace, name string, more map[string]string) *cri.Pod {
		p := newPod(t, map[string]string{"io.timens.monotonic": "+1h"})
		maps.Copy(p.Annotations, more)
		p.Namespace, p.Name = namespace, name+p.Name
		e.runPod(t, p)
		return p
	}
	hours := machine.Clocks{Monotonic: hour}
	agree(t, "allowed", e.init(t, run("trusted-1", "", nil), &cri.Container{Name: "a"}), hours)
	agree(t, "by an annotation", e.init(t, run("tests", "", map[string]string{"example.com/may": "yes"}), &cri.Container{Name: "a"}), hours)
	denied := began + `annotation "io.timens.monotonic": "+1h" is denied by the configuration of this host: `
	e.refused(t, run("tests", "", nil), "a", denied+"no annotation of the container matches a rule of policy.allow")
	e.refused(t, run("tests", "", map[string]string{"io.kubernetes.pod.namespace": "trusted"}), "a", denied+"no annotation")
	e.refused(t, run("trusted", "bad-", map[string]string{"io.kubernetes.cri.sandbox-name": "good"}), "a", denied+`annotation "io.kubernetes.cri.sandbox-name": "bad-`)
	e.refused(t, run("trusted", "", map[string]string{"io.timens.monotonic": "+36h"}), "a", "the offset +1d12h is above policy.max-offset +1d")
}

// testConfiguration has it changed while the plugin runs.
func (e *engine) testConfiguration(t *testing.T) {
	const file = "/etc/oci-timens/config.toml"
	defer e.m.Run("rm", "-f", file)
	e.m.Write(file, "[defaults]\nmonotonic = \"+2h\"\n", 0o644)
	nothing := e.pod(t, nil)
	agree(t, "by default", e.init(t, nothing, &cri.Container{Name: "a"}), machine.Clocks{Monotonic: 2 * hour})
	e.m.Write(file, "[policy]\nmax-offset = \"1x\"\n", 0o644)
	const bad = `configuration file "/etc/oci-timens/config.toml" line 2, key "policy.max-offset": `
	e.refused(t, nothing, "b", began+bad)
	e.m.Write(file, "[policy]\non-denied = \"ignore\"\nmax-offset = \"1h\"\n", 0o644)
	asks := e.pod(t, map[string]string{"io.timens.monotonic": "+36h"})
	agree(t, "ignored", e.init(t, asks, &cri.Container{Name: "a"}), machine.Clocks{})
	e.m.Write(file, "[policy]\nmax-offset = \"1x\"\n", 0o644)
	agree(t, "asks for nothing", e.init(t, nothing, &cri.Container{Name: "c"}), machine.Clocks{})
	e.refused(t, asks, "b", began+bad)
	if out, err := e.m.Try("busybox", "wget", "-O", "-", "http://127.0.0.1:9464/readyz"); err == nil || !strings.Contains(out.Stderr, "503") {
		t.Errorf("ready: %v, %+v", err, out)
	}
	if _, err := e.get("/healthz"); err != nil {
		t.Error(err)
	}
}

// testHook has no hook where it should be, or one whose host allows less.
func (e *engine) testHook(t *testing.T) {
	p := e.pod(t, map[string]string{"io.timens.monotonic": "+36h"})
	start := func(name string) error {
		o := &cri.Container{Name: name, Image: image}
		if err := e.cri.CreateContainer(t.Context(), p, o); err != nil {
			t.Fatal(err)
		}
		return e.cri.StartContainer(t.Context(), o)
	}
	e.m.Run("mv", hostHook, hostHook+".aside")
	if err := start("a"); err == nil || !strings.Contains(err.Error(), hostHook) {
		t.Errorf("without a hook: %v", err)
	}
	e.m.Write(hostHook, fmt.Sprintf("#!/bin/sh\nTIMENS_CONFIG=/etc/strict.toml exec %s.aside \"$@\"\n", hostHook), 0o755)
	e.m.Write("/etc/strict.toml", "[policy]\nmax-offset = \"1d\"\n", 0o644)
	if err := start("b"); err == nil || !strings.Contains(err.Error(), `argument "monotonic": "+1d12h" is denied by the configuration of this host: the offset +1d12h is above policy.max-offset +1d`) {
		t.Errorf("a stricter hook: %v", err)
	}
	e.m.Run("mv", hostHook+".aside", hostHook)
	agree(t, "init", e.init(t, p, &cri.Container{Name: "c"}), machine.Clocks{Monotonic: 36 * hour})
}

// testHostile has the author of a pod try to reach more than its own clocks.
func (e *engine) testHostile(t *testing.T) {
	other := e.pod(t, map[string]string{"io.timens.boottime": "=0"})
	theirs := e.init(t, other, &cri.Container{Name: "a"})
	forged := map[string]string{
		"io.timens.boottime": "=1h", "io.timens.monotonic/container.a": "+1h",
		"io.kubernetes.cri.sandbox-id": other.ID, "io.kubernetes.cri-o.SandboxID": other.ID,
		"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri-o.ContainerType": "sandbox",
		"io.kubernetes.cri.container-name": "b", "io.kubernetes.cri-o.ContainerName": "b",
	}
	p := newPod(t, forged)
	p.HostPID = true
	e.runPod(t, p)
	mine := e.init(t, p, &cri.Container{Name: "a"})
	if mine.Monotonic.Round(hour) != hour || (mine.Boottime-theirs.Boottime).Abs() < hour/2 {
		t.Errorf("ahead by %+v, the other pod by %+v", mine, theirs)
	}
	agree(t, "the other pod", e.init(t, other, &cri.Container{Name: "b"}), theirs)

	// Names that look like keys.
	p = e.pod(t, map[string]string{"io.timens.monotonic/pod": "+1h", "io.timens.monotonic/container.pod": "+2h"})
	for name, want := range map[string]machine.Clocks{"pod": {Monotonic: 2 * hour}, "container.pod": {Monotonic: hour}} {
		agree(t, name, e.init(t, p, &cri.Container{Name: name}), want)
	}

	// Floods: of others' annotations, and of ours.
	flood := map[string]string{"io.timens.monotonic": "+1h", "example.com/large": strings.Repeat("x", 1<<20)}
	for i := range 10000 {
		flood[fmt.Sprint("example.com/", i)] = "x"
	}
	p = e.pod(t, flood)
	agree(t, "among many", e.init(t, p, &cri.Container{Name: "a"}), machine.Clocks{Monotonic: hour})
	for i := range 10000 {
		flood[fmt.Sprint("io.timens.", i)] = "x"
	}
	e.refused(t, e.pod(t, flood), "a", began+`annotation "io.timens.0" is unknown`)
	agree(t, "afterwards", e.init(t, other, &cri.Container{Name: "c"}), theirs)
}

// testRecords breaks what is kept.
func (e *engine) testRecords(t *testing.T) {
	p := e.pod(t, map[string]string{"io.timens.boottime": "=0"})
	want := e.init(t, p, &cri.Container{Name: "a"})
	file := kept + "/" + p.ID
	e.m.Run("cp", file, "/root/record")
	for what, args := range map[string][]string{
		"it is no record of a pod's clocks, or not a whole one":        {"truncate", "-s", "10", file},
		"it is no regular file that only this user can write to":       {"chmod", "666", file},
		"can be written to by others, or belongs to another user than": {"chmod", "777", kept},
	} {
		e.m.Run(args...)
		e.refused(t, p, "b", began+"the clocks that pod "+p.ID+" shares: ")
		e.refused(t, p, "b", what)
		e.m.Run("chmod", "700", kept)
		e.m.Run("cp", "/root/record", file)
		e.m.Run("chmod", "600", file)
	}
	agree(t, "repaired", e.init(t, p, &cri.Container{Name: "b"}), want)
}
