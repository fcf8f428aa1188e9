package containerd

import (
	"slices"
	"strings"
	"testing"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

// shape is a configuration that containerd may have before it is set up.
type shape struct {
	name  string
	stack stack
	write func(*engine)
	file  string // what configure writes to
}

// imports is a file for machines whose own settings may not stand in the usual one.
const imports = "/root/machine.toml"

func text(path, content string) func(*engine) {
	return func(e *engine) { e.m.Write(path, content, 0o640) }
}

// printed writes what `containerd config default` prints, with what machines need.
func printed(e *engine) {
	e.m.Run("sh", "-c", `containerd config default |
		sed -E 's|(restrict_oom_score_adj = )false|\1true|; s|registry.k8s.io/pause:[0-9.]+|`+image+`|' >`+mainConfig)
}

const dropIn = "/etc/containerd/conf.d/50-oci-timens.toml"

func shapes() []shape {
	two, one := stacks[0], stacks[3]
	withDropIns := strings.Replace(config3, "version = 3", "version = 3\nimports = [\"conf.d/*.toml\"]", 1)
	moved := func(e *engine) {
		text("/srv/containerd.toml", config3)(e)
		e.args = []string{"--config", "/srv/containerd.toml"}
	}
	none := func(version2 bool) func(*engine) {
		return func(e *engine) {
			settings := config3
			if version2 {
				settings = config2
			}
			top, rest, _ := strings.Cut(settings, "\n\n")
			text(imports, top+"\nimports = [\"/etc/containerd/*.toml\"]\n\n"+rest)(e)
			e.args = []string{"--config", imports}
		}
	}
	return []shape{
		{"version 3", two, text(mainConfig, config3), mainConfig},
		{"version 2 with containerd 2", two, text(mainConfig, config2), mainConfig},
		{"version 3 with imports", two, text(mainConfig, withDropIns), dropIn},
		{"as printed by containerd 2", two, printed, dropIn},
		{"elsewhere", two, moved, "/srv/containerd.toml"},
		{"none with containerd 2", two, none(false), mainConfig},
		{"as Debian has it", one, func(e *engine) {
			text := e.packaged + "\n" + `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`
			text = strings.Replace(text, `[plugins."io.containerd.grpc.v1.cri"]`, config2[strings.Index(config2, "[plugins"):], 1)
			e.m.Write(mainConfig, text, 0o644)
		}, mainConfig},
		{"as printed by containerd 1", one, printed, mainConfig},
		{"none with containerd 1", one, none(true), mainConfig},
	}
}

// TestConfigure sets up and takes out with each shape of configuration.
func TestConfigure(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, s.stack)
			s.write(e)
			before := e.m.Snapshot(append(configured, "/srv")...)
			options := []string{"timensctl", "configure", "containerd"}
			if s.name == "elsewhere" {
				options = append(options, "--config", s.file)
			}

			diff := e.run(t, append(options, "--dry-run")...)
			e.m.Snapshot(append(configured, "/srv")...).Same(t, before)
			if !strings.Contains(diff, "+++ "+s.file) && !strings.Contains(diff, "+++ b"+s.file) {
				t.Errorf("the diff is not of %s:\n%s", s.file, diff)
			}
			e.run(t, options...)
			after := e.m.Snapshot(append(configured, "/srv")...)
			if changes := strings.Join(after.Changes(before), "\n"); !strings.Contains(changes, s.file) {
				t.Errorf("%s has not changed, but:\n%s", s.file, changes)
			}
			if said := e.run(t, options...); !strings.Contains(said, "this is set up already: nothing to change") {
				t.Errorf("the second configure wrote %q", said)
			}
			e.m.Snapshot(append(configured, "/srv")...).Same(t, after)

			e.start()
			e.checkHandler(t, s)
			e.run(t, append(options, "--remove")...)
			e.m.Snapshot(append(configured, "/srv")...).Same(t, before)
			e.restart()
			e.checkNoHandler(t)
		})
	}
}

// checkHandler runs a pod with clocks, and one of the default handler.
func (e *engine) checkHandler(t *testing.T, s shape) {
	t.Helper()
	if s.name == "none with containerd 1" {
		// What such a machine needs cannot be there: an imported file takes the place of
		// the whole plugin's table. Without it no pod can be run here.
		names, err := e.cri.Handlers(t.Context())
		if err != nil || !slices.Equal(names, []string{"runc", "timens"}) {
			t.Errorf("the handlers are %q, %v", names, err)
		}
		return
	}
	asks := map[string]string{"io.timens.monotonic": "+36h", "io.timens.boottime": "-1s"}
	want := machine.Clocks{Monotonic: 36 * hour, Boottime: -1e9}
	o := &cri.Container{Name: "a"}
	agree(t, "init", machine.Ahead(t, e.container(t, e.pod(t, "timens", asks), o)), want)
	agree(t, "exec", e.exec(t, o), want)
	agree(t, "the default handler", machine.Ahead(t, e.container(t, e.pod(t, "", asks), &cri.Container{Name: "a"})), machine.Clocks{})
}

// checkNoHandler checks that the handler is gone, and everything else works.
func (e *engine) checkNoHandler(t *testing.T) {
	t.Helper()
	err := e.cri.RunPodSandbox(t.Context(), newPod(t, "timens", nil))
	if want := `no runtime for "timens" is configured`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the handler is still there: %v, want %s", err, want)
	}
	e.container(t, e.pod(t, "", nil), &cri.Container{Name: "a"})
}

// TestConfigureRefused leaves what cannot be understood as it is.
func TestConfigureRefused(t *testing.T) {
	t.Parallel()
	e := newEngine(t, stacks[0])
	for content, want := range map[string]string{
		"version = 3\n\n[plugins\n": mainConfig + ": line 3, column 9: ",
		"version = 3\n\n[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.timens]\nruntime_type = \"io.containerd.runc.v2\"\n": `has a runtime handler "timens", which was not written by timensctl: remove it first`,
		"root = \"/srv\"\n": mainConfig + ` is a configuration of version 1`,
	} {
		e.m.Write(mainConfig, content, 0o644)
		before := e.m.Snapshot(configured...)
		if out := e.fail(t, "timensctl", "configure", "containerd"); !strings.Contains(out, want) {
			t.Errorf("for %q it wrote %q, want %q", content, out, want)
		}
		e.m.Snapshot(configured...).Same(t, before)
	}
}
