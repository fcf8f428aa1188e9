package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// tomlDoc is a TOML file that is edited as text: comments, order and layout stay.
type tomlDoc struct {
	name string
	data []byte
}

func parseTOML(name string, data []byte) (*tomlDoc, error) {
	var any map[string]any
	if err := decodeTOML(name, data, &any); err != nil {
		return nil, err
	}
	return &tomlDoc{name, data}, nil
}

func (d *tomlDoc) bytes() []byte { return d.data }

// find returns the key with its value at path.
func (d *tomlDoc) find(path []string) (expr, bool) {
	for _, e := range scanTOML(d.data) {
		if !e.table && slices.Equal(e.path, path) {
			return e, true
		}
	}
	return expr{}, false
}

func (d *tomlDoc) get(path []string) (string, bool, error) {
	e, ok := d.find(path)
	return string(d.data[e.valStart:e.vEnd]), ok, nil
}

// line returns where something at or below path is first said, or 0.
func (d *tomlDoc) line(path []string) int {
	for _, e := range scanTOML(d.data) {
		if len(e.path) >= len(path) && slices.Equal(e.path[:len(path)], path) {
			return 1 + bytes.Count(d.data[:e.start], []byte("\n"))
		}
	}
	return 0
}

// render writes strings, lists of strings and booleans.
func renderTOML(value any) string {
	switch v := value.(type) {
	case rawValue:
		return string(v)
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = renderTOML(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case string:
		var b bytes.Buffer // a JSON string is a basic string of TOML
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(v)
		return strings.TrimSpace(b.String())
	}
	return fmt.Sprint(value)
}

// set puts value at path: in the place of the value there, at the end of its table,
// or in a new table at the end of the file, below comment.
func (d *tomlDoc) set(path []string, value any, comment string) error {
	var before map[string]any
	if err := decodeTOML(d.name, d.data, &before); err != nil {
		return err
	}
	text := renderTOML(value)
	data := d.put(path, text, comment)
	var want, got map[string]any
	_ = decodeTOML(d.name, []byte("x = "+text), &want)
	// What cannot be written like this, as below an inline table, is no TOML then, or
	// means something else.
	if err := decodeTOML(d.name, data, &got); err != nil || !merged(before, path, want["x"]) || !reflect.DeepEqual(before, got) {
		return fmt.Errorf("%s: line %d: cannot be edited so that it sets %s: write what is there as [tables], and not as inline tables or dotted keys",
			d.name, max(1, d.nearest(path)), strings.Join(path, "."))
	}
	d.data = data
	return nil
}

// nearest is the line that says something about the most of path.
func (d *tomlDoc) nearest(path []string) int {
	for n := len(path); n > 0; n-- {
		if line := d.line(path[:n]); line > 0 {
			return line
		}
	}
	return 0
}

// merged puts value into a decoded file.
func merged(m map[string]any, path []string, value any) bool {
	for ; len(path) > 1; path = path[1:] {
		next, ok := m[path[0]].(map[string]any)
		if !ok {
			if _, taken := m[path[0]]; taken {
				return false
			}
			next = map[string]any{}
			m[path[0]] = next
		}
		m = next
	}
	m[path[0]] = value
	return true
}

func (d *tomlDoc) put(path []string, text, comment string) []byte {
	if e, ok := d.find(path); ok {
		return slices.Concat(d.data[:e.valStart], []byte(text), d.data[e.vEnd:])
	}
	table := path[:len(path)-1]
	line := tomlKey(path[len(path)-1:]) + " = " + text + "\n"
	at, indent := -1, ""
	in := len(table) == 0
	if in {
		at = d.afterComments()
	}
	for _, e := range scanTOML(d.data) {
		if e.table {
			if in = !e.array && slices.Equal(e.path, table); in {
				at, indent = e.end, d.indent(e)
			}
		} else if in {
			at, indent = e.end, d.indent(e)
		}
	}
	if at < 0 {
		return d.newTable(table, line, comment)
	}
	lead := ""
	if at > 0 && d.data[at-1] != '\n' {
		lead = "\n"
	}
	return slices.Concat(d.data[:at], []byte(lead+indent+line), d.data[at:])
}

// afterComments is the end of the comment that a file begins with.
func (d *tomlDoc) afterComments() (at int) {
	for at < len(d.data) && d.data[at] == '#' {
		at += bytes.IndexByte(append(d.data[at:len(d.data):len(d.data)], '\n'), '\n') + 1
	}
	return min(at, len(d.data))
}

func (d *tomlDoc) indent(e expr) string {
	line := d.data[e.start:e.end]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

func (d *tomlDoc) newTable(table []string, line, comment string) []byte {
	data := slices.Clone(d.data)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	if len(data) > 0 {
		data = append(data, '\n')
	}
	if comment != "" && !bytes.Contains(data, []byte(comment)) {
		data = append(data, comment...)
	}
	return append(data, ("[" + tomlKey(table) + "]\n" + line)...)
}

// tomlKey writes a dotted key.
func tomlKey(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = p
		if strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" || p == "" {
			parts[i] = renderTOML(p)
		}
	}
	return strings.Join(parts, ".")
}

// empty reports whether the file says nothing but its version, and has no comments.
func (d *tomlDoc) empty() bool {
	rest := d.data
	if e, ok := d.find([]string{"version"}); ok {
		rest = slices.Concat(rest[:e.start], rest[e.end:])
	}
	return len(bytes.TrimSpace(rest)) == 0
}

func (d *tomlDoc) hasTable(path []string) bool {
	for _, e := range scanTOML(d.data) {
		if e.table && !e.array && slices.Equal(e.path, path) {
			return true
		}
	}
	return len(path) == 0
}
