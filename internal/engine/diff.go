package engine

import (
	"fmt"
	"strings"
)

// around is the number of lines around a change in a diff.
const around = 3

// Diff returns the change as a unified diff, as diff -u and patch have it.
func (c Change) Diff() string {
	var b strings.Builder
	from, to := c.Path, c.Path
	if c.Before == nil {
		from = "/dev/null"
	}
	if c.After == nil {
		to = "/dev/null"
	}
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", from, to)
	lines := diffLines(splitLines(c.Before), splitLines(c.After))
	for i := 0; i < len(lines); {
		if lines[i].op == ' ' {
			i++
			continue
		}
		start, end := max(0, i-around), i
		for same := 0; end < len(lines) && same <= 2*around; end++ {
			if same++; lines[end].op != ' ' {
				same = 0
			}
		}
		for end > i && lines[end-1].op == ' ' {
			end--
		}
		end = min(len(lines), end+around)
		writeHunk(&b, lines, start, end)
		i = end
	}
	return b.String()
}

type diffLine struct {
	op   byte // ' ', '-' or '+'
	text string
}

func splitLines(data []byte) []string {
	lines := strings.SplitAfter(string(data), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// diffLines finds a longest common subsequence; what is common at both ends, which is
// mostly everything, is put aside first.
func diffLines(a, b []string) (lines []diffLine) {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		lines = append(lines, diffLine{' ', a[head]})
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	x, y := a[head:len(a)-tail], b[head:len(b)-tail]
	length := make([][]int, len(x)+1)
	for i := range length {
		length[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if length[i][j] = max(length[i+1][j], length[i][j+1]); x[i] == y[j] {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			lines = append(lines, diffLine{' ', x[i]})
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && length[i+1][j] >= length[i][j+1]:
			lines = append(lines, diffLine{'-', x[i]})
			i++
		default:
			lines = append(lines, diffLine{'+', y[j]})
			j++
		}
	}
	for _, text := range a[len(a)-tail:] {
		lines = append(lines, diffLine{' ', text})
	}
	return lines
}

func writeHunk(b *strings.Builder, lines []diffLine, start, end int) {
	var before, after, fromLen, toLen int
	for i, l := range lines[:end] {
		counts := []*int{&before, &after}
		if i >= start {
			counts = []*int{&fromLen, &toLen}
		}
		if l.op != '+' {
			*counts[0]++
		}
		if l.op != '-' {
			*counts[1]++
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", lineRange(before, fromLen), lineRange(after, toLen))
	for _, l := range lines[start:end] {
		b.WriteByte(l.op)
		b.WriteString(l.text)
		if !strings.HasSuffix(l.text, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// lineRange is the place of a hunk: an empty one is named by the line before it.
func lineRange(before, length int) string {
	switch length {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, length)
}
