package engine

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
)

// overlay is the file system as it will be. Whatever is planned is read from and
// written to it; commit writes what has changed.
type overlay struct {
	h     *Host
	files map[string]*file
	order []string
}

// file is one of the overlay. Content is nil where there is no file.
type file struct {
	path   string
	is     []byte // on disk now
	base   []byte // without anything of ours
	want   []byte
	format string
	edits  []edit
	ours   bool // it is planned to hold something of ours
	known  bool // it held something of ours
}

func newOverlay(h *Host) *overlay { return &overlay{h: h, files: map[string]*file{}} }

// open returns the file that path leads to.
func (o *overlay) open(path string) (*file, error) {
	real, err := o.h.resolve(path)
	if err != nil {
		return nil, err
	}
	if f := o.files[real]; f != nil {
		return f, nil
	}
	data, err := o.h.read(real)
	if err != nil {
		return nil, err
	}
	f := &file{path: real, is: data, base: data, want: data}
	o.files[real] = f
	o.order = append(o.order, real)
	return f, nil
}

// read returns what is to be in a file, nil if it is not to be there.
func (o *overlay) read(path string) ([]byte, error) {
	f, err := o.open(path)
	if err != nil {
		return nil, err
	}
	return f.want, nil
}

// dropIns lists the files of a directory, with those that are planned.
func (o *overlay) dropIns(dir, suffix string) ([]string, error) {
	paths, err := o.h.dropIns(dir, suffix)
	if err != nil {
		return nil, err
	}
	real, err := o.h.resolve(dir)
	if err != nil {
		return nil, err
	}
	for _, p := range o.order {
		name := filepath.Join(dir, filepath.Base(p))
		if filepath.Dir(p) == real && filepath.Ext(p) == suffix && !slices.Contains(paths, name) {
			paths = append(paths, name)
		}
	}
	paths = slices.DeleteFunc(paths, func(p string) bool {
		f := o.files[filepath.Join(real, filepath.Base(p))]
		return f != nil && f.want == nil
	})
	slices.Sort(paths)
	return paths, nil
}

// put makes a file of our own.
func (o *overlay) put(path, text string) error {
	f, err := o.own(path, func(is []byte) bool { return bytes.Equal(is, []byte(text)) })
	if err == nil {
		f.want = []byte(text)
	}
	return err
}

// own opens a file that is to be ours as a whole. One that is there must be known: by
// the record, when somebody has put something else into it, or by what is in it,
// because a record may be lost.
func (o *overlay) own(path string, looksOurs func([]byte) bool) (*file, error) {
	f, err := o.open(path)
	if err != nil {
		return nil, err
	}
	if f.base != nil && !f.ours && !f.known {
		if !looksOurs(f.base) {
			return nil, fmt.Errorf("%s is there already, and was not written by timensctl: move it away, or put what it says elsewhere", path)
		}
		f.base, f.want = nil, nil
	}
	f.ours = true
	o.last(f)
	return f, nil
}

// last moves a file to the end, so that it is written last.
func (o *overlay) last(f *file) {
	i := slices.Index(o.order, f.path)
	o.order = append(slices.Delete(o.order, i, i+1), f.path)
}

// dropIn edits a TOML file of our own, which is not there if it says nothing.
func (o *overlay) dropIn(path, comment string, change func(*editor) error) error {
	f, err := o.own(path, func(is []byte) bool { return bytes.Contains(is, []byte(comment)) })
	if err != nil {
		return err
	}
	if err := o.change(f, formatTOML, path, comment, change); err != nil {
		return err
	}
	if len(f.edits) == 0 {
		f.want = f.base
	}
	return nil
}

// edit changes a file of somebody else.
func (o *overlay) edit(path, format, comment string, change func(*editor) error) error {
	f, err := o.open(path)
	if err != nil {
		return err
	}
	f.ours = true
	o.last(f)
	return o.change(f, format, path, comment, change)
}

func (o *overlay) change(f *file, format, name, comment string, change func(*editor) error) error {
	d, err := parseDocument(format, name, f.want)
	if err != nil {
		return err
	}
	if f.want == nil && format == formatTOML {
		d = &tomlDoc{name, []byte(comment)}
	}
	e := &editor{document: d, name: name, comment: comment, edits: f.edits}
	if err := change(e); err != nil {
		return err
	}
	f.format, f.edits, f.want = format, e.edits, e.bytes()
	return nil
}

// changes lists what differs from the disk, what is written first and what is
// removed after that.
func (o *overlay) changes() (list []*file) {
	for _, p := range o.order {
		if f := o.files[p]; f.want != nil && (f.is == nil || !bytes.Equal(f.is, f.want)) {
			list = append(list, f)
		}
	}
	for _, p := range slices.Backward(o.order) {
		if f := o.files[p]; f.want == nil && f.is != nil {
			list = append(list, f)
		}
	}
	return list
}
