package engine

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata")

// A case is a machine and what is asked of it.
type testCase struct {
	name    string
	version string            // what the engine says
	files   map[string]string // of the machine
	runc    string            // its version, "1.5.2" by default
	kernel  error             // no switch at exec
	options Options
}

const containersConf = "[containers]\nenv = [\"A=b\"] # kept\n\n[engine]\nhooks_dir = [\"/opt/hooks\"]\n"

// The form of Debian's containerd 1.7.24.
const debianContainerd = `version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni" # Debian's
      conf_dir = "/etc/cni/net.d"
`

const containerdV3 = `# of a kubeadm node
version = 3
imports = ["/etc/containerd/conf.d/*.toml"]

[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'runc' # stays
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = true`

var cases = []testCase{
	{name: "podman", version: "podman version 4.3.1", options: Options{Engine: Podman}},
	{name: "podman with hooks of its own", version: "podman version 5.4.2", files: map[string]string{
		"/etc/containers/containers.conf":                containersConf,
		"/etc/containers/containers.conf.d/10-site.conf": "[engine]\nhooks_dir = [\"/srv/hooks\", {append = true}]\n",
	}, options: Options{Engine: Podman, AllContainers: true}},
	{name: "podman that reads our directory", version: "podman version 5.4.2", files: map[string]string{
		"/etc/containers/containers.conf": "[engine]\nhooks_dir = [\n  \"/etc/containers/oci/hooks.d\", # ours\n]\n",
	}, options: Options{Engine: Podman}},
	{name: "podman on Linux 5.15 with runc", version: "podman version 4.3.1", kernel: errOldKernel, options: Options{Engine: Podman}},
	{name: "podman as default", version: "podman version 4.3.1", runc: "1.1.5+ds1", options: Options{Engine: Podman, SetDefault: true}},
	{name: "podman precreate", version: "podman version 5.4.2", options: Options{Engine: Podman, Mode: ModePrecreate}},
	{name: "podman rootless", version: "podman version 4.3.1", options: Options{Engine: Podman, Rootless: true}},
	{name: "podman and another file", version: "podman version 5.4.2", files: map[string]string{"/srv/containers.conf": containersConf + "runtime = \"crun\"\n[network]\n"},
		options: Options{Engine: Podman, Mode: ModeHook, Config: "/srv/containers.conf"}},
	{name: "podman, shim in another file", version: "podman version 5.4.2", files: map[string]string{"/srv/containers.conf": containersConf + "runtime = \"crun\"\n[network]\n"},
		options: Options{Engine: Podman, Config: "/srv/containers.conf", SetDefault: true}},
	{name: "podman that does not answer", version: noAnswer, options: Options{Engine: Podman, Mode: ModeRuntime}},
	{name: "podman of the future", version: "podman version 7.1.0-dev", options: Options{Engine: Podman, Mode: ModeRuntime}},
	{name: "podman that is not there", options: Options{Engine: Podman}},

	{name: "docker", version: "Docker version 26.1.5+dfsg1, build a72d7cd", options: Options{Engine: Docker}},
	{name: "docker before annotations", version: "Docker version 20.10.24+dfsg1, build 297e128", options: Options{Engine: Docker, AllContainers: true}},
	{name: "docker with a file", version: "Docker version 28.2.2, build e6534b4", files: map[string]string{
		"/etc/docker/daemon.json": "{\n    \"log-driver\": \"local\",\n    \"runtimes\": {\n        \"kata\": {\"path\": \"/opt/kata\"}\n    },\n    \"default-runtime\": \"kata\", \"x-unknown\": 12345678901234567890\n}",
	}, options: Options{Engine: Docker, SetDefault: true}},
	{name: "docker device", version: "Docker version 28.2.2, build e6534b4", options: Options{Engine: Docker, Mode: ModeCDI}},
	{name: "docker device to be enabled", version: "Docker version 26.1.5+dfsg1, build a72d7cd", files: map[string]string{"/etc/docker/daemon.json": ""},
		options: Options{Engine: Docker, Mode: ModeCDI}},
	{name: "docker device, rootless", version: "Docker version unknown-version, build unknown-commit",
		options: Options{Engine: Docker, Mode: ModeCDI, Rootless: true}},
	{name: "docker device, rootless, that reads the user's", version: "Docker version 29.2.0, build x", options: Options{Engine: Docker, Mode: ModeCDI, Rootless: true}},
	{name: "docker of another build", version: "Docker version 2.0.0-beta.24, build x", files: map[string]string{"/etc/docker/daemon.json": "{\"debug\": true}\n"},
		options: Options{Engine: Docker, Mode: ModeCDI}},

	{name: "containerd 1.7 of Debian", version: "containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6+b4", files: map[string]string{
		"/etc/containerd/config.toml": debianContainerd,
	}, options: Options{Engine: Containerd}},
	{name: "containerd 1.7 with imports", version: "containerd github.com/containerd/containerd v1.7.24 x", files: map[string]string{
		"/etc/containerd/config.toml": "version = 2\nimports = [\"conf.d/*.toml\"]\n" + strings.ReplaceAll(strings.TrimPrefix(containerdV3, "# of a kubeadm node\nversion = 3\nimports = [\"/etc/containerd/conf.d/*.toml\"]"),
			criV3, criV2) + "\n\n[debug]\n  level = \"info\"\n  ",
	}, options: Options{Engine: Containerd, AllContainers: true}},
	{name: "containerd 1.7 with another runtime", version: "containerd github.com/containerd/containerd v1.7.24 x", files: map[string]string{
		"/etc/containerd/config.toml": "version = 2\nimports = [\"/etc/containerd/debug.toml\"]\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nBinaryName = \"/usr/bin/nvidia-container-runtime\"\n",
		"/etc/containerd/debug.toml":  "version = 2\n[debug]\nlevel = \"info\"\n",
	}, options: Options{Engine: Containerd}},
	{name: "containerd 2 with imports", version: "containerd github.com/containerd/containerd/v2 v2.4.2 x", files: map[string]string{
		"/etc/containerd/config.toml": containerdV3,
	}, options: Options{Engine: Containerd, SetDefault: true}},
	{name: "containerd 2 without a file", version: "containerd github.com/containerd/containerd/v2 v2.4.2 x", options: Options{Engine: Containerd}},
	{name: "containerd that is not there", options: Options{Engine: Containerd}},

	{name: "crio", version: "crio version 1.35.6", files: map[string]string{"/etc/crio/crio.conf": "[crio.runtime]\ndefault_runtime = \"crun\"\n"}, options: Options{Engine: CRIO}},
	{name: "crio as default", version: "crio version 1.35.6", files: map[string]string{
		// The form of CRI-O's own packages.
		"/etc/crio/crio.conf.d/10-crio.conf": "[crio.runtime]\ndefault_runtime = \"crun\"\n\n[crio.runtime.runtimes.crun]\nruntime_path = \"/usr/libexec/crio/crun\"\nruntime_root = \"/run/crun\"\nmonitor_path = \"/usr/libexec/crio/conmon\"\nallowed_annotations = [\n    \"io.containers.trace-syscall\",\n]\n",
	}, options: Options{Engine: CRIO, AllContainers: true}},
	{name: "crio hooks", version: "crio version 1.24.6", files: map[string]string{"/etc/crio/crio.conf.d/00-hooks": "[crio.runtime]\nhooks_dir = [\"/opt/hooks\"]\n"},
		options: Options{Engine: CRIO, Mode: ModeHook}},
}

var errOldKernel = errors.New("kernel 5.15 does not move a process at exec")

// describe is the golden form of a result.
func describe(r *Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: mode %s: %s\n", r.Engine, r.Version, r.Mode, r.Reason)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	for _, c := range r.Changes {
		b.WriteString(c.Diff())
	}
	fmt.Fprintln(&b, r.Restart)
	for _, c := range r.Try {
		fmt.Fprintf(&b, "Try: %s\n", c)
	}
	return b.String()
}

// What is written, and that it is written once, as the dry run says, and taken out
// again without a trace.
func TestConfigure(t *testing.T) {
	got := map[string]*strings.Builder{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := c.machine(t)
			before := h.snapshot(t)
			dry := c.options
			dry.DryRun = true
			said := configure(t, h, dry)
			if d := cmp.Diff(before, h.snapshot(t)); d != "" {
				t.Errorf("a dry run changes (-before +after):\n%s", d)
			}
			done := configure(t, h, c.options)
			if d := cmp.Diff(said, done); d != "" {
				t.Errorf("the dry run says otherwise (-dry +done):\n%s", d)
			}
			h.valid(t)
			once := h.snapshot(t)
			if again := configure(t, h, c.options); len(again.Changes) > 0 {
				t.Errorf("a second time changes %q", again.Changes)
			}
			if d := cmp.Diff(once, h.snapshot(t)); d != "" {
				t.Errorf("a second time (-once +twice):\n%s", d)
			}
			configure(t, h, remove(c.options))
			if d := cmp.Diff(before, h.snapshot(t)); d != "" {
				t.Errorf("left after --remove (-before +after):\n%s", d)
			}
			if again := configure(t, h, remove(c.options)); len(again.Changes) > 0 {
				t.Errorf("--remove a second time changes %q", again.Changes)
			}
			b := got[c.options.Engine]
			if b == nil {
				b = &strings.Builder{}
				got[c.options.Engine] = b
			}
			fmt.Fprintf(b, "== %s\n%s", c.name, describe(done))
		})
	}
	for name, b := range got {
		golden(t, name+".txt", b.String())
	}
}

func remove(o Options) Options {
	return Options{Engine: o.Engine, Remove: true, Rootless: o.Rootless, Config: o.Config}
}
