package k8s

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// feature is a part of the tests, and a row of the table.
type feature struct {
	name string
	test func(*testing.T)
}

// matrix collects what was seen: feature, stack, result.
var matrix = struct {
	sync.Mutex
	rows  []string
	cells map[string]map[stack]string
}{cells: map[string]map[stack]string{}}

// limits holds what is known not to work, by test name: the test has asserted
// exactly that.
var limits sync.Map

// limit notes that a test passed by showing a limit that the documentation tells of.
func limit(t *testing.T, what string) {
	t.Helper()
	limits.Store(t.Name(), what)
}

// see runs one part of the tests.
func (c *cluster) see(t *testing.T, f feature, parallel bool) {
	t.Helper()
	matrix.Lock()
	if matrix.cells[f.name] == nil {
		matrix.rows = append(matrix.rows, f.name)
		matrix.cells[f.name] = map[stack]string{}
	}
	matrix.Unlock()
	t.Run(f.name, func(t *testing.T) {
		if parallel {
			t.Parallel()
		}
		t.Cleanup(func() {
			result := "yes"
			if what, ok := limits.Load(t.Name()); ok {
				result = what.(string)
			}
			switch {
			case t.Failed():
				result = "**FAILED**"
			case t.Skipped():
				result = "not run"
			}
			matrix.Lock()
			defer matrix.Unlock()
			matrix.cells[f.name][c.stack] = result
		})
		f.test(t)
	})
}

// writeMatrix writes the table that the documentation shows.
func writeMatrix() error {
	matrix.Lock()
	defer matrix.Unlock()
	if len(matrix.rows) == 0 { // a machine's first process, or a test of something else
		return nil
	}
	var b strings.Builder
	b.WriteString("| |")
	for _, s := range stacks {
		fmt.Fprintf(&b, " %s |", s)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(stacks)) + "\n")
	for _, name := range matrix.rows {
		fmt.Fprintf(&b, "| %s |", name)
		for _, s := range stacks {
			result := matrix.cells[name][s]
			if result == "" {
				result = "–" // has no meaning there
			}
			fmt.Fprintf(&b, " %s |", result)
		}
		b.WriteString("\n")
	}
	dir := os.Getenv("TIMENS_MATRIX_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "dist")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "kubernetes.md"), []byte(b.String()), 0o644)
}
