package shim

import (
	"fmt"
	"os"

	"oci-timens/config"
	"oci-timens/internal/saved"
	"oci-timens/spec"
	"oci-timens/timens"
)

// noteSaved notes that the clocks are in use again of a container whose clocks are to be
// kept: runc runs hooks that do, when it restores, and crun does not. The process of the
// note is this one, which becomes the runtime, and is gone when anybody asks.
func (s *shim) noteSaved(r restored) {
	annotations, err := r.doc.Annotations()
	if err != nil {
		return // it was said why when the clocks were settled with the pod
	}
	asked, err := spec.ParseAnnotations(annotations)
	if err != nil || asked.Save == "" {
		return
	}
	if err := beginSaved(asked.Save, s.inv.id, r); err != nil {
		s.warn(fmt.Sprintf("annotation %q: %q: that the container has its clocks again could not be noted: %v", spec.KeySave, asked.Save, err))
	}
}

func beginSaved(name, id string, r restored) error {
	cfg, err := config.Load()
	if err != nil {
		return err
	}
	p, err := timens.OpenProcess(os.Getpid())
	if err != nil {
		return err
	}
	defer p.Close()
	u := saved.User{ID: id, PID: os.Getpid()}
	if u.StartTicks, err = p.StartTicks(); err != nil {
		return err
	}
	return saved.In(cfg).Begin(name, u, r.Offsets, r.host, 0)
}
