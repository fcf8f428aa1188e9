package shim

import (
	"fmt"
	"slices"

	"oci-timens/internal/edit"
	"oci-timens/internal/pod"
	"oci-timens/spec"
)

// prepare edits the config.json that the low-level runtime is about to read, if
// the container is to have other clocks than the host's. After an error the file
// is as it was, and the container must not start.
func (s *shim) prepare(facts edit.Facts) error {
	if err := s.checkDialect(facts); err != nil {
		return err
	}
	file, text, err := spec.OpenText(s.inv.config())
	if err != nil {
		return err
	}
	defer file.Close()
	inPod := pod.MayBeEdited(text)
	if s.cfg.Defaults.IsZero() && !spec.Mentioned(text) && !inPod {
		return nil // whether it is valid is for the runtime to say
	}
	doc, err := file.Parse(text)
	if err != nil {
		return err
	}
	var notes []string
	if inPod {
		bundle, _ := s.inv.config()
		edited, err := pod.AsCreated(doc, bundle)
		if err != nil {
			return err
		}
		if edited {
			notes = append(notes, "the annotations that the pod was created with count, which have been edited since: create it anew for others")
		}
	}
	r, err := edit.Edit(doc, s.cfg, facts)
	if err != nil {
		return err
	}
	if err := file.Replace(doc); err != nil {
		return err
	}
	if !r.Request.IsZero() || !s.cfg.Defaults.IsZero() || len(notes) > 0 {
		s.note(slices.Concat(notes, r.Request.Notes, r.Plan.Warnings), r.Plan)
	}
	return nil
}

// checkDialect refuses what the low-level runtime may understand otherwise than it
// was read here.
func (s *shim) checkDialect(facts edit.Facts) error {
	if s.inv.goOnly == "" && s.inv.crunOnly == "" {
		return nil
	}
	r, err := facts.Runtime()
	switch {
	case err != nil:
		return err
	case s.inv.goOnly != "" && r.Name != "runc":
		return fmt.Errorf("option %q: runc and other runtimes understand it differently; write it with two dashes, and its value as the next word", s.inv.goOnly)
	case s.inv.crunOnly != "" && r.Name != "crun":
		return fmt.Errorf("option %q: it is known of crun alone which file it means, and %v is to be run; leave it out, and name the file config.json", s.inv.crunOnly, r)
	}
	return nil
}
