package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"oci-timens/integration/machine"
)

func TestMain(m *testing.M) {
	code := machine.Main(m)
	if err := writeMatrix(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Mechanisms: how annotations reach the shim.
const (
	byCRI     = "CRI, handler `timens`"
	byCtr     = "`ctr run --runc-binary`"
	byNerdctl = "nerdctl `--runtime`, `--annotation`"
)

// Columns of the matrix, in its order.
const (
	sawInit    = "init"
	sawExec    = "exec"
	sawRestart = "restart"
	sawInspect = "`inspect` agrees"
	sawPod     = "one set per pod"
	sawNothing = "nothing asked: untouched"
	sawErrors  = "errors are shown"
	sawGone    = "nothing left behind"
	sawRemove  = "`--remove`: files as before"
)

var columns = []string{sawInit, sawExec, sawRestart, sawInspect, sawPod, sawNothing, sawErrors, sawGone, sawRemove}

type row struct{ engine, mechanism, runtime string }

// matrix collects what was seen.
var matrix = struct {
	sync.Mutex
	cells map[row]map[string]string
}{cells: map[row]map[string]string{}}

// limits holds what is known not to work, by test name: the test has asserted
// exactly that.
var limits sync.Map

// limit notes that a test passed by showing a limit that the documentation tells of.
func limit(t *testing.T, what string) {
	t.Helper()
	t.Log("known limit: " + what)
	limits.Store(t.Name(), what)
}

// see runs one part of a test, whose result is a cell of the matrix. Where several
// parts share a cell, the worst stays.
func (e *engine) see(t *testing.T, mechanism, column string, part func(*testing.T)) {
	t.Helper()
	t.Run(mechanism+", "+column, func(t *testing.T) {
		t.Cleanup(func() { record(t, row{e.stack.engine(), mechanism, e.stack.runtime}, column) })
		part(t)
	})
}

func record(t *testing.T, r row, column string) {
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
	if matrix.cells[r] == nil {
		matrix.cells[r] = map[string]string{}
	}
	if old, ok := matrix.cells[r][column]; !ok || old == "yes" || t.Failed() {
		matrix.cells[r][column] = result
	}
}

// writeMatrix writes the table that the README shows.
func writeMatrix() error {
	matrix.Lock()
	defer matrix.Unlock()
	if len(matrix.cells) == 0 { // a machine's first process, or a test of something else
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| engine | mechanism | runtime | %s |\n|---|---|---|%s\n",
		strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	line := func(r row) {
		fmt.Fprintf(&b, "| %s | %s | %s |", r.engine, r.mechanism, r.runtime)
		for _, c := range columns {
			result, ok := matrix.cells[r][c]
			switch {
			case r.mechanism == byCtr && (c == sawPod || c == sawGone || c == sawRemove):
				result = "–" // it knows no pods and needs no setup, and is tidied up after together with the CRI
			case !ok:
				result = "not run"
			}
			fmt.Fprintf(&b, " %s |", result)
		}
		b.WriteString("\n")
	}
	for _, mechanism := range []string{byCRI, byCtr} {
		for _, s := range stacks {
			line(row{s.engine(), mechanism, s.runtime})
		}
	}
	line(row{"containerd", byNerdctl, "any"})
	dir := os.Getenv("TIMENS_MATRIX_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "dist")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "engines-containerd.md"), []byte(b.String()), 0o644)
}
