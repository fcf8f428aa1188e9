package integration

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shimmed are the ways to start a container through the shim.
func shimmed() []stack {
	return slices.DeleteFunc(stacks(), func(s stack) bool { return s.mechanism != "shim" })
}

// eachShim runs f as a parallel subtest for every runtime behind the shim.
func eachShim(t *testing.T, f func(t *testing.T, s stack)) {
	for _, s := range shimmed() {
		t.Run(s.runtime.key, func(t *testing.T) {
			t.Parallel()
			require(t, s.runtime.key, s.runtime.problem())
			s.needsClocks(t)
			f(t, s)
		})
	}
}

// TestShimAgain starts two containers one after the other from one bundle: what
// the first left in config.json is no answer for the second.
func TestShimAgain(t *testing.T) {
	eachShim(t, func(t *testing.T, s stack) {
		c := newContainer(t, s)
		ask(c, "+1h", "=0")
		for range 2 {
			seen := c.run()
			want{ahead(time.Hour), reads(0)}.check(t, c.created, seen)
		}
	})
}

// TestShimForgets starts a container that asks for nothing from a bundle whose
// last one did: nothing of that is left.
func TestShimForgets(t *testing.T) {
	eachShim(t, func(t *testing.T, s stack) {
		c := newContainer(t, s)
		ask(c, askMonotonic, askBoottime)
		seen := c.run()
		asked.check(t, c.created, seen)
		text := bytes.ReplaceAll(c.readConfig(), []byte("io.timens.monotonic"), []byte("other"))
		text = bytes.ReplaceAll(text, []byte("io.timens.boottime"), []byte("another"))
		if err := os.WriteFile(filepath.Join(c.bundle(), "config.json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		seen = c.run()
		want{}.check(t, c.created, seen)
	})
}

// TestShimIsTheRuntime checks what the runtime must keep when the shim stands
// before it: exit codes, streams and signals.
func TestShimIsTheRuntime(t *testing.T) {
	eachShim(t, func(t *testing.T, s stack) {
		failing := newContainer(t, s, "no such mode")
		ask(failing, askMonotonic, askBoottime)
		r := failing.try("run", "--bundle", failing.bundle(), failing.id)
		if r.exit != 2 || r.stdout != "" || !strings.Contains(r.stderr, "usage: probe") {
			t.Errorf("the probe's failure: %+v", r)
		}
		for _, args := range [][]string{{"state", "none"}, {"--no-such-option"}, {"no-such-command"}} {
			c := newContainer(t, s)
			direct := newContainer(t, stack{"none", s.runtime})
			if got, want := c.try(args...).exit, direct.try(args...).exit; got != want {
				t.Errorf("%q: exit %d, and without the shim %d", args, got, want)
			}
		}

		c := newContainer(t, s, "hold")
		ask(c, askMonotonic, askBoottime)
		cmd := c.command("run", "--bundle", c.bundle(), c.id)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Errorf("the probe's report: %v", err)
		}
		if s.runtime.key == "libcontainer" { // forwards no signals
			c.must("kill", c.id, "TERM")
		} else if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	})
}

// TestShimBrokenConfiguration ends a container after somebody has made a mistake
// in the host's configuration.
func TestShimBrokenConfiguration(t *testing.T) {
	eachShim(t, func(t *testing.T, s stack) {
		c := newContainer(t, s, "hold")
		ask(c, askMonotonic, askBoottime)
		c.start()
		c.toml = "colour = \"blue\"\n[policy]\nclocks = 7\n"
		c.writeConfiguration()
		c.must("state", c.id)
		c.must("exec", c.id, "/probe")
		c.stop()
	})
}

// TestShimReportsToEngine looks for the error where containerd does: in the file
// named by --log.
func TestShimReportsToEngine(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			eachShim(t, func(t *testing.T, s stack) {
				c := newContainer(t, s)
				annotate(c.spec, "io.timens.boottime", "soon")
				c.prepare()
				log := filepath.Join(c.dir, "engine")
				r := c.try("--log", log, "--log-format", format, "create", "--bundle", c.bundle(), c.id)
				const want = `annotation "io.timens.boottime": "soon": 's' where a digit is needed at position 1`
				if r.exit != 1 || r.stderr != "timens-runc: "+want+"\n" {
					t.Errorf("%+v, want %q", r, want)
				}
				text, err := os.ReadFile(log)
				if err != nil {
					t.Fatal(err)
				}
				var line struct{ Level, Msg string }
				if format == "json" {
					c.decode(string(text), &line)
				} else if strings.Contains(string(text), "level=error") {
					line.Level = "error"
					line.Msg = strings.ReplaceAll(string(text), `\"`, `"`)
				}
				if line.Level != "error" || !strings.Contains(line.Msg, want) {
					t.Errorf("the engine's log is %q", text)
				}
			})
		})
	}
}

func TestShimFeatures(t *testing.T) {
	eachShim(t, func(t *testing.T, s stack) {
		c, direct := newContainer(t, s), newContainer(t, stack{"none", s.runtime})
		want, got := direct.try("features"), c.try("features")
		if want.exit != 0 { // this runtime has no such command
			if got != want {
				t.Errorf("%+v, and without the shim %+v", got, want)
			}
			return
		}
		var features struct{ PotentiallyUnsafeConfigAnnotations []string }
		c.decode(got.stdout, &features)
		if got.exit != 0 || !slices.Contains(features.PotentiallyUnsafeConfigAnnotations, "io.timens.") {
			t.Errorf("%+v", got)
		}
	})
}

// TestShimRefusesConfig breaks config.json in ways that a runtime might not mind.
// Where nothing of ours is mentioned it is the runtime that refuses.
func TestShimRefusesConfig(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(good []byte) []byte
		text string
	}{
		"empty":     {func([]byte) []byte { return nil }, ""},
		"truncated": {func(b []byte) []byte { return b[:len(b)-2] }, "config.json: "},
		"no object": {func([]byte) []byte { return []byte(`["io.timens.boottime"]`) }, "config.json: "},
		"trailing":  {func(b []byte) []byte { return append(slices.Clone(b), "{}"...) }, "config.json: "},
		"huge":      {func(b []byte) []byte { return append(slices.Clone(b), bytes.Repeat([]byte(" "), 17<<20)...) }, "config.json: "},
		"a key twice": {func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"linux": {`), []byte(`"linux": {}, "linux": {`), 1)
		}, `key "linux" appears twice`},
		"nested":   {func([]byte) []byte { return []byte(strings.Repeat(`{"io.timens.x":`, 1<<20)) }, "config.json: "},
		"two time": {func(b []byte) []byte { return twoTimeEntries(b) }, `linux.namespaces has two entries of type "time"`},
	} {
		t.Run(name, func(t *testing.T) {
			eachShim(t, func(t *testing.T, s stack) {
				container := newContainer(t, s)
				ask(container, askMonotonic, askBoottime)
				container.prepare()
				container.config = c.edit(container.config)
				path := filepath.Join(container.bundle(), "config.json")
				if err := os.WriteFile(path, container.config, 0o644); err != nil {
					t.Fatal(err)
				}
				container.refused("create", c.text)
			})
		})
	}
}

func twoTimeEntries(b []byte) []byte {
	const first = `"namespaces": [`
	return bytes.Replace(b, []byte(first), []byte(first+`{"type":"time"},{"type":"time"},`), 1)
}

// TestShimFollowsNoLink leaves alone what a bundle's config.json points to, where
// it would have to be replaced.
func TestShimFollowsNoLink(t *testing.T) {
	eachShim(t, func(t *testing.T, s stack) {
		for _, asks := range []bool{true, false} {
			c := newContainer(t, s)
			if asks {
				ask(c, askMonotonic, askBoottime)
			}
			c.prepare()
			path := filepath.Join(c.bundle(), "config.json")
			elsewhere := filepath.Join(c.dir, "elsewhere")
			if err := errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path)); err != nil {
				t.Fatal(err)
			}
			if asks {
				c.refused("create", "config.json: a symbolic link, which is not followed")
			} else {
				seen := c.run()
				want{}.check(t, c.created, seen)
			}
			if _, err := os.Readlink(path); err != nil {
				t.Error(err)
			}
		}
	})
}
