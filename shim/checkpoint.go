package shim

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sirupsen/logrus"

	"oci-timens/internal/criu"
	"oci-timens/internal/edit"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/internal/preflight"
	"oci-timens/timens"
)

// defaultImages is the directory that runc, crun and youki use without --image-path.
const defaultImages = "checkpoint"

// checkpoint makes sure that a container can be restored, and writes beside CRIU's images
// what its clocks need to go on. After an error the container runs as before, and must not
// be stopped.
func (s *shim) checkpoint(facts edit.Facts) error {
	r, known, err := s.withCRIU(facts)
	if err != nil || !known {
		return err
	}
	init, err := preflight.Init(r.Name, s.inv.root, s.inv.id)
	if err == nil {
		err = preflight.Check(init)
	}
	switch {
	case errors.Is(err, preflight.ErrNotRunning):
		return nil // the runtime says so
	case err != nil:
		return fmt.Errorf("container %q is not checkpointed, and goes on: %w", s.inv.id, err)
	}
	if err := s.leaveSidecar(init); err != nil {
		return fmt.Errorf("container %q is not checkpointed, and goes on: what its clocks need to go on later cannot be kept: %w", s.inv.id, err)
	}
	return nil
}

// leaveSidecar writes what is known now. If CRIU fails, it is of a checkpoint that does
// not exist, and harmless.
func (s *shim) leaveSidecar(init int) error {
	o, err := timens.ReadOffsets(init)
	if err != nil {
		return err
	}
	h, err := timens.Host{}.WithWall()
	if err != nil {
		return err
	}
	c, err := criu.Take(s.inv.id, o, h)
	if err != nil {
		return err
	}
	return c.Write(s.images("."))
}

// images names the directory of CRIU's images. dir is the runtime's own at the time at
// which it opens it.
func (s *shim) images(dir string) string {
	path := s.inv.imagePath
	if path == "" {
		path = defaultImages
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// withCRIU makes sure that runtime and host can checkpoint and restore clocks. known is
// false for a runtime of which it is not known how it does that.
func (s *shim) withCRIU(facts edit.Facts) (r plan.Runtime, known bool, err error) {
	if err := s.checkDialect(facts); err != nil {
		return r, false, err
	}
	if r, err = facts.Runtime(); err != nil {
		return r, false, err
	}
	if r.Name != "runc" && r.Name != "crun" {
		s.warn(fmt.Sprintf("%s by %v, of which it is not known where it keeps containers and how it starts CRIU: nothing is checked, and CLOCK_BOOTTIME stands still between checkpoint and restore", s.inv.command, r))
		return r, false, nil
	}
	if err := timens.HaveTimeNamespaces(); err != nil {
		return r, true, fmt.Errorf("%s: %w: a restored container would have other clocks", s.inv.command, err)
	}
	if _, err := lowlevel.FindCRIU(); err != nil {
		return r, true, err
	}
	return r, true, nil
}

// warn tells who waits for the runtime what it goes on in spite of.
func (s *shim) warn(msg string) {
	msg = oneLine(msg)
	if s.inv.log == "" { // else the standard error may be the container's
		fmt.Fprintf(s.stderr, "timens-runc: warning: %s\n", msg)
	}
	_ = s.engineLog(logrus.WarnLevel, msg)
	_ = s.ownLog(func(l *logrus.Entry) { l.Warn(msg) })
}
