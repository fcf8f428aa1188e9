package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// features are the rows of the matrix, in its order.
var features = []string{
	"nothing asked", "both clocks", "one clock", "positive", "negative", "sub-second", "reads (=0, =5m)",
	"defaults of the configuration", "create, start, delete", "exec", "kill, pause, update, and exec after", "tty",
	"timers fire on time", kernelCases, "user namespace", "no new PID namespace", "rootless", rootlessEngine, timeEntry, timePath,
	resume, "refuses bad requests", "hook killed half way: fails closed",
}

const (
	rootlessEngine = "rootless, in the user namespace of an engine"
	timeEntry      = "`time` entry there already"
	timePath       = "`time` entry with a path (refused)"
	kernelCases    = "the cases of the kernel's selftests"
)

// matrix collects what was seen, feature by feature and stack by stack.
var matrix = struct {
	sync.Mutex
	results map[string]map[string]string
}{results: map[string]map[string]string{}}

// limits holds what is known not to work, by test name: the test has asserted
// exactly that.
var limits sync.Map

// limit notes that a test passed by showing a limit that the documentation
// tells of.
func limit(t *testing.T, what string) {
	t.Helper()
	t.Log("known limit: " + what)
	limits.Store(t.Name(), what)
}

// record enters the result of a finished test. Where several tests share a
// feature, the worst stays.
func record(t *testing.T, feature string, s stack) {
	if !slices.Contains(features, feature) {
		t.Errorf("%q is no row of the matrix", feature)
	}
	result := "yes"
	if what, ok := limits.Load(t.Name()); ok {
		result = what.(string)
	}
	switch {
	case t.Failed():
		result = "**FAILED**"
	case t.Skipped():
		result = "not tested"
	}
	matrix.Lock()
	defer matrix.Unlock()
	row := matrix.results[feature]
	if row == nil {
		row = map[string]string{}
		matrix.results[feature] = row
	}
	if old, ok := row[s.String()]; !ok || old == "yes" || t.Failed() {
		row[s.String()] = result
	}
}

// printMatrix writes the table that the README shows to the file named by
// TIMENS_MATRIX, or to standard output.
func printMatrix() {
	matrix.Lock()
	defer matrix.Unlock()
	if len(matrix.results) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("| |")
	for _, s := range stacks() {
		fmt.Fprintf(&b, " %s, %s |", s.mechanism, s.runtime.key)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(stacks())) + "\n")
	for _, f := range features {
		if matrix.results[f] == nil {
			continue
		}
		fmt.Fprintf(&b, "| %s |", f)
		for _, s := range stacks() {
			result, ok := matrix.results[f][s.String()]
			if !ok {
				result = "–"
			}
			fmt.Fprintf(&b, " %s |", result)
		}
		b.WriteString("\n")
	}
	path := os.Getenv("TIMENS_MATRIX")
	if path == "" {
		fmt.Print(b.String())
		return
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		fmt.Fprintf(os.Stderr, "matrix: %v\n", err)
	}
}
