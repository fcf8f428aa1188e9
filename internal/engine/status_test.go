package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"oci-timens/internal/plan"
)

// What check says of engines that were set up by configure, by hand, or half.
func TestCheck(t *testing.T) {
	const nvidia = `{"runtimes": {"timens": {"path": "/opt/timens-runc"}, "other": {"path": "/usr/bin/runc"}}}`
	const handler = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.clocks]\npod_annotations = [\"io.timens.*\"]\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.clocks.options]\nBinaryName = \"/usr/bin/timens-runc\"\n"
	var b strings.Builder
	for _, tt := range []struct {
		name     string
		versions map[string]string
		files    map[string]string
		set      []Options
		kernel   error
		ptrace   error
		runc     string
	}{
		{name: "nothing is installed"},
		{name: "nothing is set up", versions: map[string]string{Podman: "podman version 4.3.1", CRIO: "?"}},
		{name: "all by configure", versions: map[string]string{Podman: "podman version 5.4.2", Docker: "Docker version 29.5.0", Containerd: "containerd x v2.4.2", CRIO: "crio version 1.35.6"},
			set: []Options{{Engine: Podman}, {Engine: Docker, Mode: ModeCDI}, {Engine: Containerd}, {Engine: CRIO, AllContainers: true}}},
		{name: "all but podman by other modes", versions: map[string]string{Podman: "podman version 5.4.2", Docker: "Docker version 26.1.5", CRIO: "crio version 1.35.6"}, runc: "1.1.5+ds1",
			set: []Options{{Engine: Podman, SetDefault: true}, {Engine: Docker}, {Engine: CRIO, Mode: ModeHook, AllContainers: true}}},
		{name: "old versions and kernel", versions: map[string]string{Podman: "podman version 4.3.1", Docker: "Docker version 20.10.24"}, kernel: errOldKernel,
			set: []Options{{Engine: Podman, Mode: ModeHook}, {Engine: Docker}}},
		{name: "a handler that is hidden", versions: map[string]string{Containerd: "containerd x v1.7.24"}, files: map[string]string{
			"/etc/containerd/config.toml": strings.ReplaceAll(strings.Replace(handler, "version = 3", "version = 2\nimports = [\"/etc/containerd/site.toml\"]", 1), criV3, criV2),
			"/etc/containerd/site.toml":   "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n",
		}},
		{name: "no ptrace", versions: map[string]string{Podman: "podman version 5.4.2"}, ptrace: errors.New("ptrace is forbidden"), set: []Options{{Engine: Podman}}},
		{name: "by hand, and half", versions: map[string]string{Podman: "podman version 4.3.1", Docker: "Docker version 26.1.5", Containerd: "containerd x v2.4.2"}, files: map[string]string{
			"/usr/share/containers/oci/hooks.d/mine.json":               hookFile("/usr/bin/timens-hook", "createRuntime", false),
			"/etc/containers/oci/hooks.d/oci-timens-createruntime.json": hookFile("/usr/bin/timens-hook", "createRuntime", false),
			"/etc/containers/containers.conf":                           "[engine]\nhooks_dir = [\"/usr/share/containers/oci/hooks.d\", \"/opt/pre\"]\n",
			"/opt/pre/pre.json":                                         hookFile("/usr/bin/timens-hook", "precreate", false),
			"/etc/docker/daemon.json":                                   nvidia,
			"/usr/share/containers/oci/hooks.d/gone.json":               hookFile("/opt/timens-hook", "poststart", true),
			"/etc/cdi/oci-timens.json":                                  cdiSpec("/usr/bin/timens-hook"),
			"/etc/containerd/config.toml":                               handler,
			"/etc/containerd/conf.d/50-not-imported.toml":               "[",
			"/etc/crio/crio.conf":                                       "[crio\n",
		}},
	} {
		h := testCase{files: tt.files, kernel: tt.kernel, runc: tt.runc}.machine(t)
		h.Ask = func(engine string) string { return tt.versions[engine] }
		if tt.runc != "" {
			h.LowLevel = func(string) (plan.Runtime, error) { return plan.Runtime{Name: "runc", Version: tt.runc}, nil }
		}
		for _, o := range tt.set {
			configure(t, h, o)
		}
		fmt.Fprintf(&b, "== %s\n", tt.name)
		for _, s := range Check(h, tt.ptrace) {
			fmt.Fprintf(&b, "%s %q\n", s.Engine, s.Version)
			for _, problem := range s.Problems {
				fmt.Fprintf(&b, "  problem: %s\n", problem)
			}
			for _, w := range s.Ways {
				fmt.Fprintf(&b, "  %s %s by %s runs %s, default %v, all %v\n", w.Mode, w.Name, w.File, w.Program, w.Default, w.All)
				for _, v := range w.Works {
					fmt.Fprintf(&b, "    %s %v: %s\n", v.What, v.Works, v.Why)
				}
			}
		}
	}
	golden(t, "check.txt", b.String())
}
