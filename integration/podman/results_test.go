package podman

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stack is a row of the matrix.
type stack struct{ podman, user, mode, runtime string }

// features are its columns, in their order.
var features = []string{
	"init", "exec", "restart", "inspect", "nothing asked", "refusals", "pod", "kube play", "build", "removal",
}

// matrix collects what was seen, for the README's table.
type matrix struct {
	sync.Mutex
	rows map[stack]map[string]string
}

var results = matrix{rows: map[stack]map[string]string{}}

// run runs a test and enters how it ended. f returns "" or how far it works, which
// it has then shown.
func (s stack) run(t *testing.T, feature string, f func(t *testing.T) (limit string)) {
	if !slices.Contains(features, feature) {
		t.Fatalf("%q is no column of the matrix", feature)
	}
	t.Run(strings.ReplaceAll(feature, " ", "-"), func(t *testing.T) {
		result := "**FAILED**"
		defer func() {
			if t.Skipped() {
				result = "not run"
			}
			if t.Failed() {
				result = "**FAILED**"
			}
			s.enter(feature, result)
		}()
		limit := f(t)
		result = "yes"
		if limit != "" {
			result = limit
		}
	})
}

func (s stack) enter(feature, result string) {
	results.Lock()
	defer results.Unlock()
	if results.rows[s] == nil {
		results.rows[s] = map[string]string{}
	}
	results.rows[s][feature] = result
}

// all lists every stack that there could be.
func all() (list []stack) {
	for _, r := range releases {
		for _, user := range users {
			for _, mode := range modes {
				for _, l := range r.runtimes {
					list = append(list, stack{r.podman, user, mode, l.version})
				}
			}
		}
	}
	return list
}

// write writes the table to the folder of TIMENS_MATRIX_DIR.
func (m *matrix) write() error {
	m.Lock()
	defer m.Unlock()
	if len(m.rows) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| podman | as | mode | low-level runtime | %s |\n|---|---|---|---|%s\n",
		strings.Join(features, " | "), strings.Repeat("---|", len(features)))
	for _, s := range all() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |", s.podman, s.user, s.mode, s.runtime)
		for _, f := range features {
			result, ok := m.rows[s][f]
			if !ok {
				result = "not run"
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
	return os.WriteFile(filepath.Join(dir, "engines-podman.md"), []byte(b.String()), 0o644)
}
