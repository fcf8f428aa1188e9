package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Configure sets an engine up, or with Remove restores what was there.
func Configure(h *Host, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Rootless && h.UID == 0 {
		return nil, errors.New("--rootless is about the engine of an ordinary user: run it as that user, not as root")
	}
	if o.Rootless && (!filepath.IsAbs(h.ConfigHome) || !filepath.IsAbs(h.StateHome)) {
		return nil, errors.New("--rootless: HOME is not set, so that this user's configuration cannot be found: set it")
	}
	if o.Config != "" {
		var err error
		if o.Config, err = filepath.Abs(o.Config); err != nil {
			return nil, err
		}
		if err := h.checkDirs("--config", o.Config); err != nil {
			return nil, err
		}
	}
	dir := h.stateDir(o.Rootless)
	if !o.DryRun {
		l, err := h.lock(dir)
		if err != nil {
			return nil, h.hint(err, o)
		}
		defer l.release()
	}
	r, err := h.configure(o, dir)
	return r, h.hint(err, o)
}

// hint tells who lacks the rights what to do.
func (h *Host) hint(err error, o Options) error {
	if err == nil || !errors.Is(err, fs.ErrPermission) || h.UID == 0 {
		return err
	}
	if o.Rootless || o.Engine == Containerd || o.Engine == CRIO {
		return fmt.Errorf("%w: run it as root", err)
	}
	return fmt.Errorf("%w: run it as root, or with --rootless for this user's own %s", err, o.Engine)
}

func (h *Host) configure(o Options, dir string) (*Result, error) {
	path := filepath.Join(dir, recordName(o))
	old, err := h.loadRecord(path)
	if err != nil {
		return nil, err
	}
	ov := newOverlay(h)
	p := &planner{Options: o, h: h, fs: ov, out: &Result{Engine: o.Engine}}
	if old != nil {
		if p.out.Notes, err = ov.undo(old); err != nil {
			return nil, err
		}
	}
	if !o.Remove {
		if err := p.plan(); err != nil {
			return nil, err
		}
		if err := h.checkOthers(ov, dir, o); err != nil {
			return nil, err
		}
	} else {
		p.restart()
	}
	if old != nil && old.Mode == ModeRuntime && p.out.Mode != ModeRuntime {
		p.note("%s", leftBehind[o.Engine])
	}
	for _, f := range ov.changes() {
		p.out.Changes = append(p.out.Changes, Change{f.path, f.is, f.want})
	}
	if o.DryRun {
		return p.out, nil
	}
	if len(p.out.Changes) == 0 && (old == nil || !o.Remove) {
		return p.out, nil
	}
	return p.out, h.write(p, old, path)
}

// checkOthers refuses to change files that belong to another configuration.
func (h *Host) checkOthers(ov *overlay, dir string, o Options) error {
	others, err := h.otherRecords(dir, recordName(o))
	if err != nil {
		return err
	}
	for _, path := range ov.order {
		f := ov.files[path]
		for _, r := range others {
			if f.ours && r.file(f.path) != nil {
				with := ""
				if r.Config != "" {
					with = " --config " + r.Config
				}
				return fmt.Errorf("%s belongs to what \"timensctl configure %s%s\" has set up: remove that first", f.path, r.Engine, with)
			}
		}
	}
	return nil
}

// write brings the overlay to the disk, and the record with it.
func (h *Host) write(p *planner, old *record, path string) (err error) {
	changes := p.fs.changes()
	for _, f := range changes {
		if err := h.writable(f.path); err != nil {
			return err
		}
	}
	c := &commit{h: h}
	defer func() {
		if err != nil {
			err = c.rollback(err)
		}
	}()
	final := p.record()
	var dirs, missing []string
	if old != nil {
		dirs = slices.Clone(old.Dirs)
	}
	for _, f := range changes {
		if f.want == nil {
			continue
		}
		for _, d := range h.missing(f.path) {
			if !slices.Contains(missing, d) {
				missing = append(missing, d)
			}
			if !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
	}
	during := transition(final, old, p.fs, dirs)
	if err := c.save(path, during); err != nil {
		return err
	}
	if err := c.mkdirs(missing); err != nil {
		return err
	}
	for _, f := range changes {
		if err := c.write(f.path, f.want, 0o644); err != nil {
			return fmt.Errorf("nothing is changed: %w", err)
		}
	}
	for _, f := range during.Files {
		_ = os.Remove(h.real(temporary(f.Path))) // left by a power cut
	}
	final.Dirs = c.rmdirs(dirs)
	if len(final.Files) == 0 {
		return c.write(path, nil, 0)
	}
	return c.save(path, final)
}

// writable finds out beforehand what would fail.
func (h *Host) writable(path string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		err := unix.Access(h.real(dir), unix.W_OK|unix.X_OK)
		if errors.Is(err, fs.ErrNotExist) && dir != "/" {
			continue
		}
		if err != nil {
			return fmt.Errorf("nothing is changed: %s cannot be written: %w", path, err)
		}
		return nil
	}
}

// record describes what is planned.
func (p *planner) record() *record {
	r := &record{Format: recordFormat, Engine: p.Engine, Config: p.Config, Mode: p.out.Mode, Default: p.SetDefault, AllContainers: p.AllContainers}
	for _, name := range p.fs.order {
		f := p.fs.files[name]
		if f.ours && !same(f.want, f.base) {
			r.Files = append(r.Files, fileRecord{Path: f.path, Before: f.base, Ours: [][]byte{f.want}, Format: f.format, Edits: f.edits, Comment: markOf(p.Engine)})
		}
	}
	return r
}

// same compares contents; nil is no file, and not an empty one.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// transition is the record for as long as files are being written: it knows both
// what is there and what will be.
func transition(final, old *record, ov *overlay, dirs []string) *record {
	t := *final
	t.Files = nil
	t.Dirs = dirs
	if old != nil {
		for _, fr := range old.Files {
			if f := ov.files[fr.Path]; f != nil && f.is != nil && !same(f.is, f.base) {
				fr.Ours = append(slices.Clone(fr.Ours), f.is)
				fr.Before = f.base
			}
			t.Files = append(t.Files, fr)
		}
	}
	for _, fr := range final.Files {
		if before := t.file(fr.Path); before != nil {
			before.Ours = append(before.Ours, fr.Ours...)
			before.Edits, before.Format, before.Before = fr.Edits, fr.Format, fr.Before
			continue
		}
		t.Files = append(t.Files, fr)
	}
	return &t
}
