package spec

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
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

// raw is JSON without layout that was put together here.
type raw []byte

// compact returns the JSON text of a value. What hook and shim write is told apart first:
// encoding/json would take longer over it than over all of a config.json.
func compact(value any) (raw, error) {
	switch v := value.(type) {
	case raw:
		return v, nil
	case int64:
		return strconv.AppendInt(nil, v, 10), nil
	case string:
		if isPlain(v) {
			return raw(`"` + v + `"`), nil
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// isPlain reports whether JSON has a string as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// within returns {key: value}.
func within(key string, value any) (raw, error) {
	k, err := compact(key)
	if err != nil {
		return nil, err
	}
	v, err := compact(value)
	if err != nil {
		return nil, err
	}
	return slices.Concat(raw("{"), k, raw(":"), v, raw("}")), nil
}

// render writes value as it stands at the level of s.
func (s style) render(value any) ([]byte, error) {
	text, err := compact(value)
	if err != nil || !s.lines {
		return text, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, s.indent, s.unit); err != nil {
		return nil, err
	}
	if strings.Contains(s.sep, "\r\n") { // strings hold no raw newline, so all are layout
		return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\r\n")), nil
	}
	return b.Bytes(), nil
}
