package transparent

import (
	"slices"
	"strings"
	"testing"
)

// compare fails the test for every difference.
func compare(t *testing.T, variant string, want, got []result) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d entries, bare %d", variant, len(got), len(want))
		return
	}
	for i, g := range got {
		b := want[i]
		switch {
		case g.title != b.title:
			t.Errorf("%s: %s, bare %s", variant, g.title, b.title)
		case g.refused && !b.failed:
			t.Errorf("%s: refuses %s, which works bare", variant, g.title)
		case g.refused:
		default:
			if d := difference(b.lines, g.lines); d != "" {
				t.Errorf("%s: %s: - bare, + %s\n%s", variant, g.title, variant, d)
			}
		}
	}
}

// difference lists the lines that only one has, in order.
func difference(want, got []string) string {
	if slices.Equal(want, got) {
		return ""
	}
	var b strings.Builder
	count := map[string]int{}
	for _, l := range got {
		count[l]++
	}
	for _, l := range want {
		if count[l]--; count[l] < 0 {
			b.WriteString("-" + l + "\n")
		}
	}
	clear(count)
	for _, l := range want {
		count[l]++
	}
	for _, l := range got {
		if count[l]--; count[l] < 0 {
			b.WriteString("+" + l + "\n")
		}
	}
	if b.Len() == 0 {
		return "the same lines in another order:\n" + strings.Join(got, "\n")
	}
	return b.String()
}
