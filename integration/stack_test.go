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
)

// lowLevel is a low-level runtime.
type lowLevel struct {
	key     string // what TIMENS_REQUIRE calls it
	path    string
	version string // what the first line of --version must begin with
}

// runtimesEnv lists other runtimes for a machine that has others, in the same order of
// kinds: "runc-1.5.2=PATH crun-1.21=PATH".
const runtimesEnv = "TIMENS_TEST_RUNTIMES"

// lowLevels are the runtimes that every test runs with: libcontainer, a runc that sets
// offsets by itself, one that does not, and crun.
func lowLevels() (all []lowLevel) {
	for field := range strings.FieldsSeq(os.Getenv(runtimesEnv)) {
		key, path, _ := strings.Cut(field, "=")
		name, version, _ := strings.Cut(key, "-")
		all = append(all, lowLevel{key, path, name + " version " + version})
	}
	if len(all) > 0 {
		return append([]lowLevel{embedded()}, all...)
	}
	return []lowLevel{
		embedded(),
		{"runc-1.5.2", toolPath("runc-1.5.2"), "runc version 1.5.2"},
		{"runc-1.1.5", "/usr/sbin/runc", "runc version 1.1.5"},
		{"crun-1.8.1", "/usr/bin/crun", "crun version 1.8.1"},
	}
}

func embedded() lowLevel {
	return lowLevel{"libcontainer", filepath.Join(base, "bin/embedded"), "runc version 1.5.2"}
}

// toolPath is where make puts what it builds for the tests.
func toolPath(name string) string {
	path, err := filepath.Abs("../.tools/" + name)
	if err != nil {
		panic(err)
	}
	return path
}

var problems sync.Map // of runtimes, by path

// problem says why the runtime cannot be used; "" when it can.
func (r lowLevel) problem() string {
	if known, ok := problems.Load(r.path); ok {
		return known.(string)
	}
	out, err := exec.Command(r.path, "--version").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	var problem string
	switch {
	case err != nil:
		problem = fmt.Sprintf("%s --version: %v (make test installs it)", r.path, err)
	case !strings.HasPrefix(first, r.version):
		problem = fmt.Sprintf("%s is %q, want %q", r.path, first, r.version)
	}
	problems.Store(r.path, problem)
	return problem
}

func (r lowLevel) isCrun() bool { return strings.HasPrefix(r.key, "crun") }

// knowsNone tells whether the runtime knows no time namespaces at all.
func (r lowLevel) knowsNone() bool { return strings.HasPrefix(r.key, "runc-1.1.") }

// stack is one way to start a container: a mechanism and a low-level runtime.
type stack struct {
	mechanism string // "hook" or "shim"; "none" leaves config.json and the runtime alone
	runtime   lowLevel
}

func (s stack) String() string { return s.mechanism + "/" + s.runtime.key }

// stacks are the ways that a feature is tested with, in the matrix' order.
func stacks() []stack {
	var all []stack
	for _, m := range []string{"hook", "shim"} {
		for _, r := range lowLevels() {
			all = append(all, stack{m, r})
		}
	}
	return all
}

// eachStack runs f as a parallel subtest for every way to start a container, and
// enters the results into the row of the matrix called feature.
func eachStack(t *testing.T, feature string, f func(t *testing.T, s stack)) {
	for _, s := range stacks() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() { record(t, feature, s) }) // the last to run
			require(t, "timens", missing("/proc/self/ns/time"))
			require(t, s.runtime.key, s.runtime.problem())
			if s.refusedHere() && !slices.Contains(alwaysSame, feature) {
				s.checkRefusedHere(t)
				return
			}
			f(t, s)
		})
	}
}
