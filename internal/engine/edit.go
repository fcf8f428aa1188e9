package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"oci-timens/spec"
)

// mark begins what is written by us into files that hold comments.
const mark = "# Written by \"timensctl configure\"; \"timensctl configure %s --remove\" takes it out again.\n"

func markOf(engine string) string { return fmt.Sprintf(mark, engine) }

// rawValue is text in the form of the file.
type rawValue string

// document is a configuration file that is edited without loss.
type document interface {
	bytes() []byte
	get(path []string) (string, bool, error)
	set(path []string, value any, comment string) error
	drop(path []string)
	hasTable(path []string) bool
	dropTable(path []string)
	dropLines(text string)
	empty() bool
}

// Formats of documents; other files are our own as a whole.
const (
	formatTOML = "toml"
	formatJSON = "json"
)

func parseDocument(format, name string, data []byte) (document, error) {
	if format == formatTOML {
		return parseTOML(name, data)
	}
	return parseJSON(name, data)
}

// edit is one thing that was changed in a file, to be undone in it when somebody
// else has changed other things since.
type edit struct {
	Path   []string `json:"path"`
	Value  string   `json:"value,omitempty"`
	Before *string  `json:"before,omitempty"` // nil where there was none
	// Subtree: everything below path is ours. Table: the header is.
	Subtree bool `json:"subtree,omitempty"`
	Table   bool `json:"table,omitempty"`
}

// editor edits a document and keeps account.
type editor struct {
	document
	name    string
	comment string
	edits   []edit
}

// set puts a value at path.
func (e *editor) set(value any, path ...string) error {
	before, found, err := e.get(path)
	if err != nil {
		return err
	}
	table := path[:len(path)-1]
	hadTable := e.hasTable(table)
	if err := e.document.set(path, value, e.comment); err != nil {
		return err
	}
	if !hadTable && e.hasTable(table) {
		e.edits = append(e.edits, edit{Path: table, Table: true})
	}
	done := edit{Path: path}
	if found {
		done.Before = &before
	}
	done.Value, _, err = e.get(path)
	e.edits = append(e.edits, done)
	return err
}

// own puts values below a path that is ours as a whole.
func (e *editor) own(base []string, values ...member) error {
	for _, m := range values {
		if err := e.document.set(append(base[:len(base):len(base)], m.path...), m.value, e.comment); err != nil {
			return err
		}
	}
	e.edits = append(e.edits, edit{Path: base, Subtree: true})
	return nil
}

type member struct {
	path  []string
	value any
}

// undo takes edits out of a document that somebody else has changed too. It returns
// the values that are left, because they are not what we wrote.
func undo(d document, edits []edit, comment string) (left []string, err error) {
	for i := len(edits) - 1; i >= 0; i-- {
		e := edits[i]
		switch {
		case e.Subtree:
			d.drop(e.Path)
			continue
		case e.Table:
			d.dropTable(e.Path)
			continue
		}
		is, found, err := d.get(e.Path)
		switch {
		case err != nil:
			return nil, err
		case !found:
		case !sameText(is, e.Value):
			left = append(left, strings.Join(e.Path, "."))
		case e.Before == nil:
			d.drop(e.Path)
		default:
			if err := d.set(e.Path, rawValue(*e.Before), ""); err != nil {
				return nil, err
			}
		}
	}
	d.dropLines(comment)
	return left, nil
}

// sameText compares values, which in JSON may have been laid out anew.
func sameText(a, b string) bool {
	var ca, cb bytes.Buffer
	if json.Compact(&ca, []byte(a)) == nil && json.Compact(&cb, []byte(b)) == nil {
		return ca.String() == cb.String()
	}
	return a == b
}

// jsonDoc is a JSON file. An empty one is an empty object, as for dockerd.
type jsonDoc struct {
	name string
	*spec.Document
}

func parseJSON(name string, data []byte) (*jsonDoc, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}\n")
	}
	d, err := spec.ParseDocument(data)
	j := &jsonDoc{name, d}
	return j, j.named(err)
}

// named puts the file's name into an error of spec, which knows one file only.
func (j *jsonDoc) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s%s", j.name, strings.TrimPrefix(err.Error(), "config.json"))
}

func (j *jsonDoc) bytes() []byte { return j.Bytes() }

func (j *jsonDoc) get(path []string) (string, bool, error) {
	raw, found, err := j.Get(path...)
	return string(raw), found, j.named(err)
}

func (j *jsonDoc) set(path []string, value any, _ string) error {
	if raw, ok := value.(rawValue); ok {
		value = json.RawMessage(raw)
	}
	// A new file gets a layout to read.
	if strings.TrimSpace(string(j.Bytes())) == "{}" {
		for i := len(path) - 1; i >= 0; i-- {
			value = map[string]any{path[i]: value}
		}
		d, err := spec.ParseDocument([]byte(indentJSON(value)))
		j.Document = d
		return err
	}
	return j.named(j.Set(value, path...))
}

func (j *jsonDoc) drop(path []string)     { _ = j.Remove(path...) } // what cannot be found is not there
func (j *jsonDoc) hasTable([]string) bool { return true }
func (j *jsonDoc) dropTable([]string)     {}
func (j *jsonDoc) dropLines(string)       {}
func (j *jsonDoc) empty() bool {
	var m map[string]any
	return json.Unmarshal(j.Bytes(), &m) == nil && len(m) == 0
}

// indentJSON writes a file of our own.
func indentJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // holds nothing that cannot be written
	return b.String()
}
