package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// record is what was done for one engine, and what was there before. It is on the
// disk before the first change, and until the last one is undone.
type record struct {
	Format        int          `json:"format"`
	Engine        string       `json:"engine"`
	Config        string       `json:"config,omitempty"` // --config
	Mode          string       `json:"mode"`
	Default       bool         `json:"default,omitempty"`
	AllContainers bool         `json:"allContainers,omitempty"`
	Files         []fileRecord `json:"files"`
	Dirs          []string     `json:"dirs,omitempty"` // made, outermost first
}

const recordFormat = 1

// fileRecord is about one file. Before is nil where there was none. Ours are
// contents that we have written, or found to be edited by others and about to
// change: whichever of them is there now is replaced by Before as a whole.
type fileRecord struct {
	Path    string   `json:"path"`
	Before  []byte   `json:"before"`
	Ours    [][]byte `json:"ours"`
	Format  string   `json:"format,omitempty"`
	Edits   []edit   `json:"edits,omitempty"`
	Comment string   `json:"comment,omitempty"`
}

// stateDir is where records are kept.
func (h *Host) stateDir(rootless bool) string {
	if rootless {
		return filepath.Join(h.StateHome, "oci-timens/configure")
	}
	return "/var/lib/oci-timens/configure"
}

// recordName is that of the file for an engine and --config.
func recordName(o Options) string {
	if o.Config == "" {
		return o.Engine + ".json"
	}
	sum := sha256.Sum256([]byte(o.Config))
	return fmt.Sprintf("%s-%x.json", o.Engine, sum[:6])
}

// loadRecord returns nil where there is none.
func (h *Host) loadRecord(path string) (*record, error) {
	data, err := os.ReadFile(h.real(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s, which says what was there before, is damaged: %w; restore the files of the engine by hand and remove it", path, err)
	}
	if r.Format != recordFormat {
		return nil, fmt.Errorf("%s was written by another version of timensctl (format %d): use that to remove what it set up", path, r.Format)
	}
	return r, nil
}

// otherRecords loads the records in dir but one.
func (h *Host) otherRecords(dir, but string) (list []*record, err error) {
	paths, err := h.dropIns(dir, ".json")
	for _, p := range paths {
		if filepath.Base(p) == but || strings.HasPrefix(filepath.Base(p), ".") || err != nil {
			continue
		}
		var r *record
		if r, err = h.loadRecord(p); r != nil {
			list = append(list, r)
		}
	}
	return list, err
}

func (r *record) file(path string) *fileRecord {
	i := slices.IndexFunc(r.Files, func(f fileRecord) bool { return f.Path == path })
	if i < 0 {
		return nil
	}
	return &r.Files[i]
}

// undo makes the overlay what it would be without us. It returns remarks.
func (o *overlay) undo(r *record) (notes []string, err error) {
	for _, fr := range r.Files {
		f, err := o.open(fr.Path)
		if err != nil {
			return nil, err
		}
		note, err := o.undoFile(f, fr)
		if err != nil {
			return nil, err
		}
		f.base, f.known = f.want, true
		notes = append(notes, note...)
	}
	return notes, nil
}

func (o *overlay) undoFile(f *file, fr fileRecord) (notes []string, err error) {
	switch {
	case f.is == nil:
		return nil, nil // not written yet, or removed by the user
	case slices.ContainsFunc(fr.Ours, func(b []byte) bool { return bytes.Equal(b, f.is) }):
		f.want = fr.Before
		return nil, nil
	case fr.Before != nil && bytes.Equal(fr.Before, f.is):
		return nil, nil
	case fr.Format == "":
		// A file of our own, which means nothing without us.
		keep, err := o.open(fr.Path + ".edited")
		if err != nil {
			return nil, err
		}
		keep.want, f.want = f.is, nil
		return []string{fmt.Sprintf("%s was edited since: it is kept as %s, where the engine does not read it", fr.Path, keep.path)}, nil
	}
	d, err := parseDocument(fr.Format, fr.Path, f.is)
	if err != nil {
		return nil, err
	}
	left, err := undo(d, fr.Edits, fr.Comment)
	if err != nil {
		return nil, err
	}
	if f.want = d.bytes(); fr.Before == nil && d.empty() {
		f.want = nil
	}
	notes = append(notes, fmt.Sprintf("%s was edited since: what timensctl added is taken out, the rest stays", fr.Path))
	for _, key := range left {
		notes = append(notes, fmt.Sprintf("%s: %s stays as you have set it", fr.Path, key))
	}
	return notes, nil
}
