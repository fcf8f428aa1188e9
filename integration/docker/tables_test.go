package docker

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// matrixEnv names the folder in which the tables are written.
const matrixEnv = "TIMENS_MATRIX_DIR"

const notRun = "not run"

// table is what was seen to work. All its cells are there before a test runs.
type table struct {
	title   string
	corner  []string // names of the columns before those of cells
	columns []string
	order   []string // keys of rows

	mu    sync.Mutex
	cells map[string]string
}

func key(row, column string) string { return row + "\x00" + column }

func (tb *table) set(row, column, text string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.cells == nil {
		tb.cells = map[string]string{}
	}
	tb.cells[key(row, column)] = text
}

// cell runs one step of a test and keeps what came of it: what it returns, "yes"
// for nothing, or that it failed, whether or not it comes back.
func (tb *table) cell(t testing.TB, row, column string, step func() string) {
	t.Helper()
	failed, text := t.Failed(), "**fails**"
	defer func() {
		if t.Skipped() {
			text = notRun
		}
		tb.set(row, column, text)
	}()
	said := cmp.Or(step(), "yes")
	if t.Failed() == failed {
		text = said
		return
	}
	t.Logf("the above is about: %s: %s", strings.ReplaceAll(row, "|", ", "), column)
}

func (tb *table) markdown() string {
	var b strings.Builder
	line := func(fields []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(fields, " | ")) }
	fmt.Fprintf(&b, "%s\n\n", tb.title)
	head := slices.Concat(tb.corner, tb.columns)
	line(head)
	line(slices.Repeat([]string{"---"}, len(head)))
	for _, row := range tb.order {
		fields := strings.Split(row, "|")
		for _, c := range tb.columns {
			fields = append(fields, cmp.Or(tb.cells[key(row, c)], notRun))
		}
		line(fields)
	}
	return b.String()
}

// writeTables writes what was run, unless that is nothing.
func writeTables() error {
	var text []string
	for _, tb := range []*table{lifecycle, features} {
		if len(tb.cells) > 0 {
			text = append(text, tb.markdown())
		}
	}
	if len(text) == 0 {
		return nil
	}
	dir := cmp.Or(os.Getenv(matrixEnv), filepath.Join("..", "..", "dist"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "engines-docker.md"), []byte(strings.Join(text, "\n")), 0o644)
}
