package kernels

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/guest"
)

var full = flag.Bool("full", false, "run all tests of package integration in each guest, which takes some hours")

// quick are the tests of package integration that are run for every change: in each way to
// start a container, with each runtime.
const quick = `^Test(Control|Settings|Detached|Exec|RefusesAnnotations)$/` +
	`^(libcontainer|runc.*|crun.*|timeOffsets|nothing_asked|both_clocks|reads.*|below_zero|hook|shim)$`

func TestMain(m *testing.M) {
	var err error
	if temp, err = os.MkdirTemp("", "timens-kernels-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := errors.Join(writeTable(), os.RemoveAll(temp)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestKernels runs the tests of the library, and those with containers, in a guest for each
// kernel and version of cgroups.
func TestKernels(t *testing.T) {
	for _, s := range systems {
		for _, cgroups := range s.cgroups {
			t.Run(fmt.Sprintf("%s/%s/cgroup-v%d", s.name, s.arch, cgroups), func(t *testing.T) {
				t.Parallel()
				g := s.start(t, cgroups)
				r := newRow(s, cgroups, g.Run("uname", "-r"))
				t.Run("library", func(t *testing.T) { r.library = testLibrary(t, g.In(t)) })
				t.Run("containers", func(t *testing.T) { r.cells = s.testContainers(t, g.In(t)) })
			})
		}
	}
}

// testLibrary runs the tests of package timens. With processes that have threads, the
// library does nothing before Linux 6.2.
func testLibrary(t *testing.T, g *guest.Guest) string {
	out, err := g.Patient(6*time.Minute).Try("/files/timens.test", "-test.v", "-test.timeout=5m")
	if err != nil {
		t.Error(err)
		return "**FAILED**"
	}
	skips := tellSkips(t, out.Stdout)
	if !strings.Contains(out.Stdout, "--- PASS: TestCommand ") {
		t.Errorf("timens.Command was not tested: %s", out.Stdout)
	}
	if strings.Contains(skips, "TestInject:") {
		return "yes, but for processes with threads"
	}
	return "yes"
}

// testContainers runs those of package integration, and returns what they found for each way
// to start a container.
func (s system) testContainers(t *testing.T, g *guest.Guest) []string {
	limit, run := 15*time.Minute, quick
	if *full {
		limit, run = 4*time.Hour, "."
	}
	const matrix = "/tmp/matrix.md"
	var runtimes, required []string
	for _, l := range s.runtimes {
		key := l.name + "-" + l.version
		runtimes, required = append(runtimes, key+"="+l.path), append(required, key)
	}
	out, err := g.Patient(limit).Try("TIMENS_TEST_BUILT=/files/built", "TIMENS_MATRIX="+matrix,
		"TIMENS_TEST_RUNTIMES="+strings.Join(runtimes, " "), "TIMENS_REQUIRE=libcontainer,timens,userns,"+strings.Join(required, ","),
		"/files/integration.test", "-test.v", "-test.parallel=2", "-test.timeout="+(limit-time.Minute).String(), "-test.run="+run)
	if err != nil {
		t.Error(err)
	}
	tellSkips(t, out.Stdout)
	table := g.Run("cat", matrix)
	t.Logf("what worked:\n%s", table)
	return summarize(t, table)
}

// tellSkips logs which tests were skipped, and what each said last, and returns that.
func tellSkips(t *testing.T, out string) string {
	var skips strings.Builder
	said, at := map[string]string{}, ""
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 3 && f[0] == "===":
			at = f[2]
		case len(f) > 1 && strings.Contains(f[0], "_test.go:"):
			said[at] = strings.TrimSpace(line)
		case len(f) > 2 && f[0] == "---" && f[1] == "SKIP:":
			fmt.Fprintf(&skips, "skipped %s: %s\n", f[2], said[f[2]])
		}
	}
	if skips.Len() > 0 {
		t.Log(skips.String())
	}
	return skips.String()
}
