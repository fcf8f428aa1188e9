package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/internal/probe"
)

// refused has a container that may not start.
func (l *life) refused() error {
	r := refusals[l.rand.IntN(len(refusals))]
	c := l.newContainer(asks{annotations: map[string]string{r.key: r.value}, toml: r.toml})
	if err := c.write(); err != nil {
		return err
	}
	got, err := c.try([]string{"run", "create"}[l.rand.IntN(2)], "--bundle", c.bundle(), c.id)
	if err != nil {
		return err
	}
	said := strings.ReplaceAll(got.stderr, `\"`, `"`)
	if got.exit == 0 || got.stdout != "" || !strings.Contains(said, r.says) {
		return fmt.Errorf("%v: exit %d, %q, and it said %q", r, got.exit, got.stdout, said)
	}
	text, err := os.ReadFile(filepath.Join(c.bundle(), "config.json"))
	if err == nil && !bytes.Equal(text, c.config) {
		err = fmt.Errorf("config.json of a container that was refused has become %s", text)
	}
	return err
}

// neverStarted kills the init of a container that waits for start.
func (l *life) neverStarted() error {
	c, err := l.draw()
	if err != nil {
		return err
	}
	if err := c.create("create"); err != nil {
		return err
	}
	return c.killAndDelete()
}

// runtimeKilled ends the runtime, and what it has started so far, at any moment. If the
// container is there all the same, it has its clocks.
func (l *life) runtimeKilled() error {
	c, err := l.draw("hold")
	if err != nil {
		return err
	}
	cmd := c.command("run", "--detach", "--bundle", c.bundle(), "--pid-file", filepath.Join(c.dir, "pid"), c.id)
	closer, err := c.inFiles(cmd)
	if err != nil {
		return err
	}
	defer closer()
	if c.before, err = probe.Read(); err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(time.Duration(l.rand.IntN(80)) * time.Millisecond)
	whom := cmd.Process.Pid
	if l.rand.IntN(2) == 0 { // its group: hooks as well
		whom = -whom
	}
	_ = unix.Kill(whom, unix.SIGKILL)
	if err := cmd.Wait(); err != nil || c.findInit() != nil {
		c.killed = true
		return c.checkAborted()
	}
	return c.judgeReport() // it was too late
}

// checkAborted looks at what a runtime leaves that was killed: a config.json that is whole,
// and no program that has run with wrong clocks.
func (c *container) checkAborted() (err error) {
	text, err := os.ReadFile(filepath.Join(c.bundle(), "config.json"))
	if err != nil || !json.Valid(text) {
		return fmt.Errorf("config.json is damaged, %w: %s", err, text)
	}
	// What the runtime has got to run goes on without it; all else ends by itself, or in end.
	var out []byte
	eventually(100*time.Millisecond, func() bool {
		out, err = os.ReadFile(filepath.Join(c.dir, "stdout"))
		return bytes.HasSuffix(out, []byte("}\n"))
	})
	if err != nil || len(out) == 0 {
		return err
	}
	return c.judgeReport()
}
