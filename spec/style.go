package spec

import (
	"bytes"
	"encoding/json"
	"strings"
)

// style is how the text of an object or array is laid out, so that what is
// inserted looks like its surroundings. The zero value is compact.
type style struct {
	sep    string // between two items: a comma and white space
	colon  string // between key and value: a colon and white space
	lines  bool   // each item on a line of its own
	indent string // of these lines
	unit   string // of indentation, one level
}

// styleOf reads the style of an object or array with at least one item, which
// ends at end.
func styleOf(data []byte, open int, list []item, end int) style {
	first, last := list[0], list[len(list)-1]
	s := style{
		sep:   "," + string(data[open+1:first.keyStart]),
		colon: string(data[last.keyEnd:last.start]),
	}
	if len(list) > 1 {
		s.sep = string(data[list[len(list)-2].end:last.keyStart])
	}
	newline := strings.LastIndexByte(s.sep, '\n')
	if newline < 0 {
		return s
	}
	s.lines = true
	s.indent = strings.ReplaceAll(s.sep[newline+1:], ",", "")
	tail := string(data[last.end:end])
	outer := tail[strings.LastIndexByte(tail, '\n')+1:]
	unit, inside := strings.CutPrefix(s.indent, outer)
	if s.unit = unit; !inside || unit == "" {
		s.unit = "  "
	}
	return s
}

// render writes value as it stands at the level of s.
func (s style) render(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if s.lines {
		e.SetIndent(s.indent, s.unit)
	}
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if strings.Contains(s.sep, "\r\n") { // strings hold no raw newline, so all are layout
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	return text, nil
}
