package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"oci-timens/config"
)

// configDir is the node's configuration. The cluster's part of it is read after
// what the node's own administrator has written; dropIn is its name.
const (
	configDir = "/etc/oci-timens"
	dropIn    = "config.d/90-kubernetes.toml"
)

// writeConfig writes the cluster's part of the configuration, or removes it where it
// says nothing: to read a file takes each start of a container some time.
func (o *Options) writeConfig(data []byte) error {
	path := filepath.Join(o.at(configDir), dropIn)
	says, err := saysAnything(data)
	if err != nil {
		return err
	}
	if !says {
		return o.removeConfig(path)
	}
	if is, err := os.ReadFile(path); err == nil && string(is) == string(data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := replace(path, data, 0o644); err != nil {
		return err
	}
	o.say("wrote %s", filepath.Join(configDir, dropIn))
	return nil
}

func (o *Options) removeConfig(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	o.say("removed %s", filepath.Join(configDir, dropIn))
	// If something is left in them, or they are mounts, they stay.
	_ = os.Remove(filepath.Dir(path))
	_ = os.Remove(filepath.Dir(filepath.Dir(path)))
	return nil
}

// saysAnything tells text with settings from comments and empty tables.
func saysAnything(data []byte) (bool, error) {
	var t map[string]any
	err := toml.Unmarshal(data, &t)
	return hasValue(t), err
}

func hasValue(t map[string]any) bool {
	for _, v := range t {
		if sub, ok := v.(map[string]any); !ok || hasValue(sub) {
			return true
		}
	}
	return false
}

// tryConfig reads the configuration as it will be, before any container does: with
// a mistake in it, no container that asks for clocks would start on this node.
func (o *Options) tryConfig(data []byte) error {
	try, err := os.MkdirTemp(o.at(o.Prefix), ".try-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(try)
	if err := os.Mkdir(filepath.Join(try, "config.d"), 0o755); err != nil {
		return err
	}
	others, err := filepath.Glob(filepath.Join(o.at(configDir), "config.d", "*.toml"))
	if err != nil {
		return err
	}
	for _, path := range append(others, filepath.Join(o.at(configDir), "config.toml")) {
		name, err := filepath.Rel(o.at(configDir), path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || name == dropIn {
			continue
		}
		if err != nil {
			return err
		}
		if err := replace(filepath.Join(try, name), text, 0o644); err != nil {
			return err
		}
	}
	if err := replace(filepath.Join(try, dropIn), data, 0o644); err != nil {
		return err
	}
	if _, err := config.LoadFile(filepath.Join(try, "config.toml")); err != nil {
		return fmt.Errorf("--config %s: nothing is changed on this node: %s", o.Config, strings.ReplaceAll(err.Error(), try, configDir))
	}
	return nil
}
