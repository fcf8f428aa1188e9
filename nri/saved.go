package nri

import (
	"fmt"
	"os"

	"oci-timens/config"
	"oci-timens/internal/saved"
	"oci-timens/spec"
	"oci-timens/timens"
)

// resolve looks up the snapshot that a container goes on from. The hooks keep it on the
// node, in a folder that this plugin has to see as well: without it, every container
// would look like the first.
func (p *Plugin) resolve(r *spec.Request, cfg *config.Config, host timens.Host) error {
	if r.Saved.Name == "" {
		return nil
	}
	s := saved.In(cfg)
	if _, err := os.Stat(s.Where()); err != nil {
		return fmt.Errorf("%s: %q: timens-nri cannot look up what has been saved: %w: have that folder of the node in its pod", r.Saved.Source, r.Saved.Value, err)
	}
	notes := r.Notes
	err := s.Resolve(r, host)
	r.Notes = notes // whether a container still runs cannot be told by PIDs from here
	return err
}
