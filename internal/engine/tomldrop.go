package engine

import (
	"bytes"
	"slices"
)

// drop removes what is at or below path.
func (d *tomlDoc) drop(path []string) {
	list := scanTOML(d.data)
	for _, e := range slices.Backward(list) {
		if len(e.path) >= len(path) && slices.Equal(e.path[:len(path)], path) {
			d.cut(e)
		}
	}
}

// cut removes an expression, and of a header the empty line before it, as newTable
// writes it.
func (d *tomlDoc) cut(e expr) {
	if e.table && bytes.HasSuffix(d.data[:e.start], []byte("\n\n")) {
		e.start--
	}
	d.data = slices.Concat(d.data[:e.start], d.data[e.end:])
}

// dropTable removes the header of a table without keys.
func (d *tomlDoc) dropTable(path []string) {
	list := scanTOML(d.data)
	for i, e := range list {
		if e.table && slices.Equal(e.path, path) && (i+1 == len(list) || list[i+1].table) {
			d.cut(e)
			return
		}
	}
}

// dropLines removes lines of our own, with the empty line before or after them that is
// then one too many.
func (d *tomlDoc) dropLines(text string) {
	from := bytes.Index(d.data, []byte(text))
	if from < 0 || text == "" {
		return
	}
	to := from + len(text)
	before, after := d.data[:from], d.data[to:]
	switch {
	case from == 0 && bytes.HasPrefix(after, []byte("\n")):
		to++
	case bytes.HasSuffix(before, []byte("\n\n")) && (len(after) == 0 || after[0] == '\n'):
		from--
	}
	d.data = slices.Concat(d.data[:from], d.data[to:])
}
