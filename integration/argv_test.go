package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestShimCommandLine writes `run` in the ways that the runtimes understand.
func TestShimCommandLine(t *testing.T) {
	for name, form := range map[string]func(c *container) (dir string, args []string){
		"-b DIR":        func(c *container) (string, []string) { return "/", []string{"run", "-b", c.bundle(), c.id} },
		"--bundle=DIR":  func(c *container) (string, []string) { return "/", []string{"run", "--bundle=" + c.bundle(), c.id} },
		"relative DIR":  func(c *container) (string, []string) { return c.dir, []string{"run", "--bundle", "bundle", c.id} },
		"no DIR":        func(c *container) (string, []string) { return c.bundle(), []string{"run", c.id} },
		"called create": func(c *container) (string, []string) { return c.bundle(), []string{"run", "create"} },
		"global options": func(c *container) (string, []string) {
			return c.bundle(), []string{"--log", filepath.Join(c.dir, "engine"), "--log-format", "json", "run", c.id}
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachShim(t, func(t *testing.T, s stack) {
				c := newContainer(t, s)
				ask(c, askMonotonic, askBoottime)
				c.prepare()
				dir, args := form(c)
				cmd := c.command(args...)
				cmd.Dir = dir
				seen := seen{before: host(t)}
				r := c.finish(cmd)
				seen.after = host(t)
				if r.exit != 0 {
					t.Fatalf("exit %d: %s", r.exit, r.stderr)
				}
				c.decode(r.stdout, &seen.inside)
				asked.check(t, seen, seen)
			})
		})
	}
}

// TestShimRefusesCommandLine writes `run` in ways that runtimes may understand
// otherwise than the shim: none of them starts a container with other clocks.
func TestShimRefusesCommandLine(t *testing.T) {
	for name, line := range map[string]struct{ args, text string }{
		"unknown option":       {"run --new -- ID", `unknown option "--new"`},
		"unknown, and no ID":   {"run --new --", `unknown option "--new"`},
		"unknown global":       {"--new=x run ID", `unknown option "--new=x"`},
		"no value":             {"run ID --bundle", `option "--bundle" lacks its value`},
		"one dash, no ID":      {"run -bundle ID", ""}, // to crun: -b, and an ID
		"a file called --":     {"run -f --", ""},
		"nothing after --":     {"run --", ""},
		"an equals sign short": {"run -b=. ID", ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachShim(t, func(t *testing.T, s stack) {
				c := newContainer(t, s)
				ask(c, askMonotonic, askBoottime)
				c.prepare()
				cmd := c.command(strings.Fields(strings.ReplaceAll(line.args, "ID", c.id))...)
				cmd.Dir = c.bundle()
				seen := seen{before: host(t)}
				r := c.finish(cmd)
				seen.after = host(t)
				if r.exit == 0 && line.text == "" { // it has understood the same
					c.decode(r.stdout, &seen.inside)
					asked.check(t, seen, seen)
				} else if r.exit == 0 || !strings.Contains(r.stderr, line.text) {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}
