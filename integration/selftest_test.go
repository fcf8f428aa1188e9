package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// buildCases compiles the programs of selftest/, which C has to be for: they vfork, and
// begin as a single thread.
var buildCases = sync.OnceValue(func() error {
	program := filepath.Join(base, "bin/cases")
	if _, err := os.Stat(program); err == nil { // somebody has brought it along
		return nil
	}
	sources, err := filepath.Glob("selftest/*.c")
	if err != nil {
		return err
	}
	args := append([]string{"-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-o", program}, sources...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cc: %w\n%s", err, out)
	}
	return nil
})

// ahead tells by how much the clocks of a container are to be ahead of CLOCK_REALTIME,
// in the order of the program's arguments.
func (w want) ahead(t *testing.T) []string {
	t.Helper()
	read := func(clock int32) int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano()
	}
	arg := func(clock int32, e expect) string {
		return fmt.Sprint(read(clock) - read(unix.CLOCK_REALTIME) + int64(e.value))
	}
	return []string{arg(unix.CLOCK_MONOTONIC, w.monotonic), arg(unix.CLOCK_MONOTONIC_RAW, w.monotonic), arg(unix.CLOCK_BOOTTIME, w.boottime)}
}

// verdicts reads what the program has printed, by case.
func verdicts(t *testing.T, text string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for _, v := range []string{"ok", "skip", "not ok"} {
			if rest, ok := strings.CutPrefix(line, v+" "); ok {
				name, _, _ := strings.Cut(rest, ": ")
				got[name] = v
				if v != "ok" {
					t.Log(line)
				}
			}
		}
	}
	return got
}

// TestKernelSelftests runs the cases of the kernel's own tests of time namespaces in
// containers, by their init and by exec: in the namespace that the container was given,
// and in one that they nest in it. What a case can do on the machine it must do inside.
func TestKernelSelftests(t *testing.T) {
	if err := buildCases(); err != nil {
		require(t, "cc", err.Error())
	}
	out, err := exec.Command(filepath.Join(base, "bin/cases"), append([]string{"nested"}, want{}.ahead(t)...)...).Output()
	onHost := verdicts(t, string(out))
	if err != nil || len(onHost) < 60 {
		t.Fatalf("on the machine itself: %v, %d cases\n%s", err, len(onHost), out)
	}
	eachStack(t, kernelCases, func(t *testing.T, s stack) {
		for _, w := range []want{asked, {ahead(-5 * time.Second), ahead(400 * day)}} {
			args := append([]string{"nested"}, w.ahead(t)...)
			c := newContainer(t, s)
			c.spec.Process.Args = append([]string{"/cases"}, args...)
			// What the kernel's tests need as well.
			all := []string{"CAP_SYS_ADMIN", "CAP_SYS_TIME", "CAP_WAKE_ALARM"}
			c.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
			ask(c, fmt.Sprint(w.monotonic.value), fmt.Sprint(w.boottime.value))
			c.addCases()
			c.checkCases(onHost, c.try("run", "--bundle", c.bundle(), c.id))
			if !s.execJoins() {
				continue
			}
			c = newContainer(t, s, "hold")
			c.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
			ask(c, fmt.Sprint(w.monotonic.value), fmt.Sprint(w.boottime.value))
			c.addCases()
			c.start()
			c.checkCases(onHost, c.try(append([]string{"exec", c.id, "/cases"}, args...)...))
			c.stop()
		}
	})
}

func (c *container) addCases() {
	c.t.Helper()
	c.prepare()
	if err := os.Link(filepath.Join(base, "bin/cases"), filepath.Join(c.bundle(), "rootfs/cases")); err != nil {
		c.t.Fatal(err)
	}
}

// checkCases compares with what the machine can do.
func (c *container) checkCases(onHost map[string]string, r result) {
	c.t.Helper()
	got := verdicts(c.t, r.stdout)
	if r.exit != 0 {
		c.t.Errorf("exit %d: %s\n%s", r.exit, r.stderr, r.stdout)
	}
	names := make([]string, 0, len(onHost))
	for name := range onHost {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if v := got[name]; v != onHost[name] && v != "ok" {
			c.t.Errorf("%s: %q inside, %q on the machine", name, v, onHost[name])
		}
	}
}
