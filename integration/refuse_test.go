package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// refused has a container not start: the runtime fails, with our error wherever it
// shows; config.json is as it was; and nothing is left, which the end of the test
// looks for.
func (c *container) refused(command, text string) {
	c.t.Helper()
	c.prepare()
	r := c.try(command, "--bundle", c.bundle(), c.id)
	if r.exit == 0 || c.stack.mechanism == "shim" && r.exit != 1 {
		c.t.Errorf("exit %d, want 1", r.exit)
	}
	if said := c.said(r); !strings.Contains(said, text) {
		c.t.Errorf("the error is\n%s\nwant it to say\n%s", said, text)
	}
	if r.stdout != "" {
		c.t.Errorf("stdout says %q", r.stdout)
	}
	if !bytes.Equal(c.readConfig(), c.config) {
		c.t.Errorf("config.json has changed:\n%s", c.readConfig())
	}
}

// said is what the user of a runtime can read about a failure: runc quotes what a
// hook wrote to its standard error, crun throws it away.
func (c *container) said(r result) string { return strings.ReplaceAll(r.stderr, `\"`, `"`) }

// log is what the product has logged about a container.
func (c *container) log() string {
	text, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	return string(text)
}

func TestRefusesAnnotations(t *testing.T) {
	for name, c := range map[string]struct{ key, value, toml, text string }{
		"empty": {"io.timens.boottime", "", "",
			`annotation "io.timens.boottime": the value "" is empty: want an offset such as "+36h", or "=0" for a clock that starts at zero`},
		"text": {"io.timens.boottime", "+36h later", "",
			`annotation "io.timens.boottime": "+36h later": ' ' where a digit is needed at position 5`},
		"unknown key": {"io.timens.uptime", "=0", "",
			`annotation "io.timens.uptime" is unknown: the keys are io.timens.monotonic and io.timens.boottime, io.timens.resume and io.timens.save, each with /pod or /container.NAME`},
		"below zero": {"io.timens.boottime", "-4000d", "",
			`annotation "io.timens.boottime": "-4000d"`},
		"beyond 146 years": {"io.timens.monotonic", "+60000d", "",
			`the kernel allows no clock beyond 53375d23h53m38s (146 years)`},
		"beyond 64 bits": {"io.timens.monotonic", "99999999999999999999s", "",
			`annotation "io.timens.monotonic": "99999999999999999999s": a number beyond 64 bits at position 1`},
		"policy": {"io.timens.monotonic", "+2h", "[policy]\nmax-offset = \"1h\"\n",
			`max-offset`},
	} {
		t.Run(name, func(t *testing.T) {
			eachStack(t, "refuses bad requests", func(t *testing.T, s stack) {
				container := newContainer(t, s)
				container.toml = c.toml
				annotate(container.spec, c.key, c.value)
				container.refused("create", c.text)
			})
		})
	}
}

// TestRefusesConfiguration breaks the host's own configuration.
func TestRefusesConfiguration(t *testing.T) {
	eachStack(t, "refuses bad requests", func(t *testing.T, s stack) {
		c := newContainer(t, s)
		c.toml = "colour = \"blue\"\n"
		ask(c, askMonotonic, askBoottime)
		c.prepare()
		r := c.try("run", "--bundle", c.bundle(), c.id)
		if r.exit == 0 || r.stdout != "" {
			t.Errorf("exit %d, stdout %q", r.exit, r.stdout)
		}
		if want := `unknown key "colour"`; !strings.Contains(c.said(r), want) {
			t.Errorf("the error is\n%s\nwant it to say %s", c.said(r), want)
		}
	})
}

// TestTimePath has a container join a time namespace by its path: its offsets are
// fixed, so that nothing can be asked.
func TestTimePath(t *testing.T) {
	eachStack(t, timePath, func(t *testing.T, s stack) {
		other := newContainer(t, stack{"none", lowLevels()[1]}, "hold")
		other.spec.Linux.Namespaces = append(other.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		other.start()
		for name, path := range map[string]string{
			"another": filepath.Join("/proc", other.pidText(), "ns/time"), "the host's": "/proc/self/ns/time",
		} {
			t.Run(name, func(t *testing.T) {
				c := newContainer(t, s)
				c.spec.Linux.Namespaces = append(c.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace, Path: path})
				ask(c, askMonotonic, askBoottime)
				text := "the offsets of an existing namespace are fixed"
				if s.mechanism == "hook" && (s.runtime.knowsNone() || s.runtime.isCrun()) {
					text = "" // the runtime itself fails before it runs a hook
				}
				c.refused("run", text)
			})
		}
		other.stop()
	})
}
