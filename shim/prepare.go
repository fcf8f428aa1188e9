package shim

import (
	"fmt"

	"oci-timens/internal/edit"
	"oci-timens/spec"
)

// prepare edits the config.json that the low-level runtime is about to read, if
// the container is to have other clocks than the host's. After an error the file
// is as it was, and the container must not start.
func (s *shim) prepare(facts edit.Facts) error {
	if s.inv.goOnly != "" {
		r, err := facts.Runtime()
		if err != nil {
			return err
		}
		if r.Name != "runc" {
			return fmt.Errorf("option %q: runc and other runtimes understand it differently; write it with two dashes, and its value as the next word", s.inv.goOnly)
		}
	}
	file, text, err := spec.OpenText(s.inv.config())
	if err != nil {
		return err
	}
	defer file.Close()
	if s.cfg.Defaults.IsZero() && !spec.Mentioned(text) {
		return nil // whether it is valid is for the runtime to say
	}
	doc, err := file.Parse(text)
	if err != nil {
		return err
	}
	r, err := edit.Edit(doc, s.cfg, facts)
	if err != nil {
		return err
	}
	if err := file.Replace(doc); err != nil {
		return err
	}
	if !r.Request.IsZero() || !s.cfg.Defaults.IsZero() {
		s.note(append(r.Request.Notes, r.Plan.Warnings...), r.Plan)
	}
	return nil
}
