package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

// TestPoststart disturbs the stage that has runc's exec join the container's time
// namespace: either exec has the container's clocks, or the container is not created.
func TestPoststart(t *testing.T) {
	for _, r := range lowLevels(t) {
		if r.key != "runc-1.5.2" {
			continue // no other has a file to be edited
		}
		trial := func(decide func(call) fault) (o outcome, x *trace, err error) {
			c, err := r.container(t, "hold")
			if err != nil {
				return refused, nil, err
			}
			c.hook("createRuntime", false)
			c.hook("poststart", true)
			c.ask(asking...)
			if err := c.write(); err != nil {
				return refused, nil, err
			}
			if x, err = c.gate.follow(decide); err != nil {
				return refused, x, err
			}
			// runc runs this stage when it has created the container (Container.start of
			// libcontainer/container_linux.go in 1.5.2).
			made, err := c.detached("create", "--bundle", c.bundle(), c.id)
			if err = errors.Join(err, x.end()); err != nil {
				return refused, x, err
			}
			if made.exit == 0 {
				o = started
				err = c.checkExec()
			} else if made.stderr == "" {
				err = errors.New("create has failed, and nobody was told")
			}
			if len(listing(c.root())) > 0 {
				err = errors.Join(err, c.stop())
			}
			return o, x, errors.Join(err, c.gone(false), c.remove())
		}
		sweep{name: r.key + ": poststart is killed", counts: everyCall, faults: kills, trial: trial}.run(t)
		sweep{name: r.key + ": poststart's files fail", counts: fileCalls, faults: errnos, trial: trial}.run(t)
		sweep{name: r.key + ": poststart's writes are short", counts: writes, faults: shorts, trial: trial}.run(t)
	}
}

// checkExec starts a container, which has been created, and looks at what is executed in it.
func (c *container) checkExec() error {
	for _, args := range [][]string{{"start", c.id}, {"state", c.id}} { // state.json is read whole
		if r, err := c.call(false, args...); err != nil || r.exit != 0 {
			return fmt.Errorf("%q: %v, %w", args, r, err)
		}
	}
	// Only with its exec does runc's init enter, whose namespaces are joined.
	err := within(limit, func() error {
		text, err := os.ReadFile(filepath.Join(c.dir, "out"))
		if err == nil && !strings.HasSuffix(string(text), "}\n") {
			err = fmt.Errorf("the container says %q", text)
		}
		return err
	})
	if err != nil {
		return err
	}
	exec, err := c.call(false, "exec", c.id, "/probe")
	if err != nil {
		return err
	}
	o, err := judge(c.t, exec, asked)
	if o != started && err == nil {
		err = fmt.Errorf("exec: %v", exec)
	}
	return err
}

// TestPrecreate disturbs the filter of podman's stage: what it prints is whole, or it
// fails.
func TestPrecreate(t *testing.T) {
	all := lowLevels(t)
	r, other := all[0], all[len(all)-1]
	filter := func(decide func(call) fault) (result, *trace, error) {
		c, err := r.container(t)
		if err != nil {
			return result{}, nil, err
		}
		c.ask(asking...)
		c.id = "same" // for the text to be
		c.spec.Linux.CgroupsPath = ""
		if err := c.write(); err != nil {
			return result{}, nil, err
		}
		// All count that are installed, and none can be passed over.
		toml := filepath.Join(c.dir, "timens.toml")
		if err := os.WriteFile(toml, fmt.Appendf(nil, "runtimes = [%q, %q]\n", r.path, other.path), 0o644); err != nil {
			return result{}, nil, err
		}
		x, err := c.gate.follow(decide)
		if err != nil {
			return result{}, nil, err
		}
		stdin, err := os.Open(filepath.Join(c.bundle(), "config.json"))
		if err != nil {
			return result{}, nil, err
		}
		defer stdin.Close()
		argv := c.gate.grandchild(machine.Programs(t).Hook, "precreate")
		cmd := command(argv, "TIMENS_CONFIG="+filepath.Join(c.dir, "timens.toml"), "PATH="+os.Getenv("PATH"))
		cmd.Stdin = stdin
		got, err := finish(cmd)
		return got, x, errors.Join(err, x.end(), c.remove())
	}
	want, _, err := filter(func(call) fault { return fault{} })
	if err != nil || want.exit != 0 {
		t.Fatal(want, err)
	}
	// The environment of the hooks names another folder each time.
	digits := func(s string) string {
		var b []byte
		for i := range len(s) {
			if s[i] < '0' || s[i] > '9' {
				b = append(b, s[i])
			}
		}
		return string(b)
	}
	trial := func(decide func(call) fault) (outcome, *trace, error) {
		got, x, err := filter(decide)
		switch {
		case err != nil:
			return refused, x, err
		case got.exit != 0:
			if got.stderr == "" {
				err = errors.New("nobody was told")
			}
			return refused, x, err
		case digits(got.stdout) != digits(want.stdout):
			return started, x, fmt.Errorf("printed %q", got.stdout)
		}
		return started, x, nil
	}
	sweep{name: "precreate is killed", counts: everyCall, faults: kills, trial: trial}.run(t)
	sweep{name: "precreate's files fail", counts: fileCalls, faults: errnos, trial: trial}.run(t)
	sweep{name: "precreate's writes are short", counts: writes, faults: shorts, trial: trial}.run(t)
}
