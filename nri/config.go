package nri

import (
	"errors"

	"oci-timens/config"
)

// setDefaults remembers whether containers that ask for nothing get clocks, for when the
// configuration cannot be read.
func (p *Plugin) setDefaults(c *config.Config) { p.defaults.Store(!c.Defaults.IsZero()) }

func (p *Plugin) wantedNothing() bool { return !p.defaults.Load() }

// ready is nil while the engine is connected and the configuration can be read.
func (p *Plugin) ready() error {
	if !p.synchronized.Load() {
		return errors.New("not connected to the engine")
	}
	_, err := p.load()
	return err
}
