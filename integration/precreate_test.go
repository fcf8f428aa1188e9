package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// filterCommand is timens-hook as a precreate hook that knows of these runtimes.
func (c *container) filterCommand(runtimes ...lowLevel) *exec.Cmd {
	c.t.Helper()
	c.prepare()
	paths := make([]string, len(runtimes))
	for i, r := range runtimes {
		paths[i] = fmt.Sprintf("%q", r.path)
	}
	path := filepath.Join(c.dir, "precreate.toml")
	text := fmt.Sprintf("runtimes = [%s]\nlog-file = %q\n%s", strings.Join(paths, ", "), filepath.Join(c.dir, "log"), c.toml)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(c.hook, "precreate")
	cmd.Env = []string{"TIMENS_CONFIG=" + path} // podman gives what the hook's file lists
	cmd.Dir = c.dir
	return cmd
}

// filter has config.json filtered as podman does it: decoded and encoded before
// and after by structs, of which those of podman before 4.6 know no timeOffsets.
func (c *container) filter(dropsOffsets bool, runtimes ...lowLevel) {
	c.t.Helper()
	cmd := c.filterCommand(runtimes...)
	cmd.Stdin = bytes.NewReader(c.config)
	r := c.finish(cmd)
	if r.exit != 0 || r.stderr != "" {
		c.t.Fatalf("precreate: %+v", r)
	}
	var s specs.Spec
	c.decode(r.stdout, &s)
	if dropsOffsets {
		s.Linux.TimeOffsets = nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.bundle(), "config.json"), text, 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// TestPrecreate starts containers by what the precreate hook has made of their
// config.json, with each runtime that it may be for.
func TestPrecreate(t *testing.T) {
	all := lowLevels()
	modern := all[1]
	for _, r := range all {
		for name, tt := range map[string]struct {
			knows []lowLevel
			drops bool
		}{
			"knows it":              {knows: []lowLevel{r}},
			"knows several":         {knows: all[1:]},
			"podman before 4.6":     {knows: []lowLevel{r}, drops: true},
			"and it is one of many": {knows: all[1:], drops: true},
		} {
			t.Run(r.key+" "+name, func(t *testing.T) {
				t.Parallel()
				require(t, r.key, r.problem())
				stack{"hook", r}.needsClocks(t)
				require(t, modern.key, modern.problem())
				for _, w := range []struct {
					monotonic, boottime string
					want                want
				}{{askMonotonic, askBoottime, asked}, {"", "=0", want{boottime: reads(0)}}} {
					c := newContainer(t, stack{"none", r}, "hold")
					ask(c, w.monotonic, w.boottime)
					c.prepare()
					// What is resolved by the filter is so before the container is created.
					before := host(t)
					c.filter(tt.drops, tt.knows...)
					seen := c.start()
					c.created.before = before
					w.want.check(t, c.created, seen)
					c.checkExec(w.want)
					c.stop()
				}
			})
		}
	}
}

// TestPrecreateMistaken has podman start another runtime than the configuration
// names: the container does not start, or with the clocks that it asks for.
func TestPrecreateMistaken(t *testing.T) {
	modern := lowLevels()[1]
	for _, r := range lowLevels()[2:] {
		t.Run(r.key, func(t *testing.T) {
			t.Parallel()
			require(t, r.key, r.problem())
			require(t, modern.key, modern.problem())
			c := newContainer(t, stack{"none", r})
			ask(c, askMonotonic, askBoottime)
			c.filter(false, modern)
			if got := c.try("run", "--bundle", c.bundle(), c.id); got.exit == 0 || got.stdout != "" {
				t.Errorf("was expected to fail by itself: %+v", got)
			}
		})
	}
}

// TestPrecreateUntouched compares, byte by byte, what is not asked for anything,
// and what is beside an edit.
func TestPrecreateUntouched(t *testing.T) {
	r := lowLevels()[1]
	require(t, r.key, r.problem())
	c := newContainer(t, stack{"none", r})
	cmd := c.filterCommand(r)
	cmd.Stdin = bytes.NewReader(c.config)
	if got := c.finish(cmd); got != (result{stdout: string(c.config)}) {
		t.Errorf("%+v", got)
	}
	const tail = ` , "z" : {"n":1e400, "s":"\u0000\ud83d\ude00" , "linux":[ ] }}` + "\n"
	cmd = c.filterCommand(r)
	cmd.Stdin = strings.NewReader(`{"annotations":{"io.timens.boottime":"+1h"},"linux":{ }` + tail)
	got := c.finish(cmd)
	head, rest, found := strings.Cut(got.stdout, tail[:len(tail)-2])
	if got.exit != 0 || !found || !strings.Contains(head+rest, `"secs":3600`) {
		t.Errorf("%+v", got)
	}
}

// TestPrecreateRefuses looks for the reason where podman's user does: podman gives a
// precreate hook no standard error.
func TestPrecreateRefuses(t *testing.T) {
	r := lowLevels()[1]
	require(t, r.key, r.problem())
	c := newContainer(t, stack{"none", r})
	annotate(c.spec, "io.timens.boottime", "soon")
	cmd := c.filterCommand(r)
	const want = `timens-hook: annotation "io.timens.boottime": "soon": 's' where a digit is needed at position 1` + "\n"
	cmd.Stdin = bytes.NewReader(c.config)
	if got := c.finish(cmd); got != (result{exit: 1, stderr: want}) {
		t.Errorf("%+v", got)
	}
	parent := exec.Command("sh", "-c", "echo before >&2; (exec "+c.hook+" precreate 2>/dev/null); code=$?; echo after >&2; exit $code")
	file, err := os.Create(filepath.Join(c.dir, "podman"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parent.Env, parent.Stdin, parent.Stderr = cmd.Env, bytes.NewReader(c.config), file
	if err := parent.Run(); parent.ProcessState.ExitCode() != 1 {
		t.Error(err)
	}
	if got := c.output("podman"); got != "before\n"+want+"after\n" {
		t.Errorf("its parent's standard error has\n%s", got)
	}
}
