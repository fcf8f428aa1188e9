package shim

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oci-timens/config"
	"oci-timens/internal/edit"
	"oci-timens/internal/plan"
	"oci-timens/internal/pod"
	"oci-timens/timens"
)

// fakeFacts is a host of one's own, up 100 s.
type fakeFacts struct {
	name, version string
	k             plan.Kernel
	hookPath      string
	asked         *int // how often it was asked for anything
}

func (f fakeFacts) Runtime() (plan.Runtime, error) {
	*f.asked++
	if f.name == "" {
		return plan.Runtime{}, errors.New("no answer")
	}
	return plan.Runtime{Name: f.name, Version: f.version}, nil
}
func (f fakeFacts) Kernel(plan.Runtime) plan.Kernel { *f.asked++; return f.k }
func (f fakeFacts) Hook() string                    { return f.hookPath }
func (f fakeFacts) Clocks() (timens.Host, error) {
	*f.asked++
	return timens.Host{Clocks: timens.Clocks{Monotonic: 60 * time.Second, Boottime: 100 * time.Second}}, nil
}

func (f fakeFacts) InPod(m pod.Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	return pod.Look(m, a, decide)
}

// world is a bundle, a configuration and a runtime for one run of the shim.
type world struct {
	dir, bundle, log string
	stdout, stderr   bytes.Buffer
	execs            [][]string // path and argv of each exec
	env              []string   // of the last
	facts            fakeFacts
	asked            int
	execErr          error
}

func newWorld(t *testing.T, configJSON, configTOML string) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	w.bundle, w.log = filepath.Join(w.dir, "bundle"), filepath.Join(w.dir, "engine.log")
	w.facts = fakeFacts{name: "runc", version: "1.5.2", hookPath: "/hooks/timens-hook", asked: &w.asked}
	w.write(t, "bundle/config.json", configJSON, 0o640)
	w.write(t, "bin/runc", "", 0o755)
	w.write(t, "config.toml", "runtimes = [\""+w.runtime()+"\"]\nlog-file = \""+w.dir+"/own.log\"\n"+configTOML, 0o644)
	t.Setenv(config.EnvPath, filepath.Join(w.dir, "config.toml"))
	t.Setenv("PATH", "/bin")
	return w
}

func (w *world) runtime() string { return filepath.Join(w.dir, "bin/runc") }

func (w *world) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (w *world) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// run calls the shim; "@" in an argument stands for the bundle.
func (w *world) run(args ...string) int {
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "@", w.bundle)
	}
	s := &shim{
		args: append([]string{"timens-runc"}, args...), stdout: &w.stdout, stderr: &w.stderr,
		facts: func(string) edit.Facts { return w.facts },
		exec: func(path string, argv, env []string) error {
			w.execs = append(w.execs, append([]string{path}, argv...))
			w.env = env
			return w.execErr
		},
	}
	return s.run()
}

// checkExec wants exactly one exec, with the arguments that were given.
func (w *world) checkExec(t *testing.T, args ...string) {
	t.Helper()
	want := [][]string{append([]string{w.runtime(), w.runtime()}, args...)}
	if d := cmp.Diff(want, w.execs); d != "" {
		t.Errorf("exec: -want +got:\n%s\nstderr: %s", d, w.stderr.String())
	}
}

const (
	plainJSON = `{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid"}]}}`
	askJSON   = `{"annotations":{"io.timens.boottime":"+1h"},"linux":{"namespaces":[{"type":"pid"}]},"x":1e400}`
)
