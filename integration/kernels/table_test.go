package kernels

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// columns are the ways to start a container, in the order of package integration's matrix.
var columns = []string{
	"hook: libcontainer 1.5.2", "hook: runc 1.5.2", "hook: Debian's runc", "hook: Debian's crun",
	"shim: libcontainer 1.5.2", "shim: runc 1.5.2", "shim: Debian's runc", "shim: Debian's crun",
}

// row is what was seen with one kernel.
type row struct {
	system
	version int // of cgroups
	release string
	library string
	cells   []string
}

var rows struct {
	sync.Mutex
	all []*row
}

func newRow(s system, cgroups int, release string) *row {
	r := &row{s, cgroups, release, "not run", nil}
	rows.Lock()
	defer rows.Unlock()
	rows.all = append(rows.all, r)
	return r
}

// summarize reads a matrix of package integration, which has a row for each feature, and
// says in a word what each of its columns comes to.
func summarize(t *testing.T, matrix string) (cells []string) {
	t.Helper()
	features := map[string][]string{}
	for line := range strings.Lines(matrix) {
		fields := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if len(fields) != len(columns)+1 {
			t.Fatalf("no line of a matrix with %d columns: %q", len(columns), line)
		}
		features[fields[0]] = fields[1:]
	}
	clocks, exec := features["both clocks"], features["exec"]
	if clocks == nil || exec == nil {
		t.Fatalf("the matrix lacks a row:\n%s", matrix)
	}
	for i := range columns {
		cell := clocks[i]
		if cell == "yes" && exec[i] != "yes" {
			cell = "**" + exec[i] + "**"
		}
		for _, results := range features {
			if strings.Contains(results[i], "FAILED") {
				cell = results[i]
			}
		}
		cells = append(cells, cell)
	}
	return cells
}

// writeTable writes what was run to dist/kernels.md, or to the folder of TIMENS_MATRIX_DIR.
func writeTable() error {
	rows.Lock()
	defer rows.Unlock()
	if len(rows.all) == 0 {
		return nil
	}
	slices.SortFunc(rows.all, func(a, b *row) int {
		return 2*(a.order()-b.order()) + a.version - b.version
	})
	var b strings.Builder
	head := append([]string{"kernel", "architecture", "cgroup", "Debian's runc, crun", "library"}, columns...)
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows.all {
		cells := r.cells
		if cells == nil {
			cells = slices.Repeat([]string{"not run"}, len(columns))
		}
		versions := r.runtimes[1].version + ", " + r.runtimes[2].version
		fmt.Fprintf(&b, "| %s | %s | v%d | %s | %s | %s |\n", r.release, r.arch, r.version, versions, r.library, strings.Join(cells, " | "))
	}
	dir := os.Getenv("TIMENS_MATRIX_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "dist")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "kernels.md"), []byte(b.String()), 0o644)
}

// order is the place of a system among all.
func (r *row) order() int {
	return slices.IndexFunc(systems, func(s system) bool { return s.name == r.name && s.arch == r.arch })
}
