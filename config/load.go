package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"oci-timens/timens"
)

const (
	// DefaultPath is the configuration file that Load reads unless TIMENS_CONFIG
	// names another one.
	DefaultPath = "/etc/oci-timens/config.toml"
	// EnvPath is the environment variable that names another file.
	EnvPath = "TIMENS_CONFIG"
	// maxSize is the largest configuration file in bytes.
	maxSize = 1 << 20
)

// Path returns the file that Load reads.
func Path() string {
	if p := os.Getenv(EnvPath); p != "" {
		return p
	}
	return DefaultPath
}

// Load reads the configuration file and its drop-ins. Without any of them it
// returns Default(). A file that TIMENS_CONFIG names must be there.
func Load() (*Config, error) {
	p := Path()
	c, found, err := load(p)
	if err == nil && !found && os.Getenv(EnvPath) != "" {
		return nil, fmt.Errorf("%s names the configuration file %q, which does not exist", EnvPath, p)
	}
	return c, err
}

// LoadFile reads the configuration file at path and then the files config.d/*.toml
// beside it, in lexical order. Files that are not there count as empty. Errors
// name the file, and the line and key where there is one.
func LoadFile(path string) (*Config, error) {
	c, _, err := load(path)
	return c, err
}

func load(path string) (c *Config, found bool, err error) {
	c = Default()
	found, err = c.read(path)
	if err != nil {
		return nil, found, err
	}
	dropins, err := dropIns(filepath.Join(filepath.Dir(path), "config.d"))
	if err != nil {
		return nil, found, err
	}
	for _, p := range dropins {
		if _, err := c.read(p); err != nil {
			return nil, found, err
		}
	}
	if err := c.check(); err != nil {
		return nil, found, fmt.Errorf("configuration %q with its drop-ins: %w", path, err)
	}
	return c, found, nil
}

// dropIns lists the files of a directory that end in .toml; hidden ones are
// somebody's temporary files.
func dropIns(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("configuration drop-ins: %w", err)
	}
	var paths []string
	for _, e := range entries { // sorted by name
		if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// read decodes one file into c when it is there.
func (c *Config) read(path string) (found bool, err error) {
	// O_NONBLOCK: opening a FIFO must not wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return true, fmt.Errorf("configuration file: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return true, fmt.Errorf("configuration file %q is no regular file", path)
	case info.Mode().Perm()&0o002 != 0:
		return true, fmt.Errorf("configuration file %q is writable by everybody: chmod o-w it", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return true, fmt.Errorf("configuration file: %w", err)
	}
	if len(data) > maxSize {
		return true, fmt.Errorf("configuration file %q is larger than %d bytes", path, maxSize)
	}
	return true, c.decode(path, data)
}

// check finds contradictions between keys, which may be in different files.
func (c *Config) check() error {
	p := c.Policy
	if p.MinOffset != nil && p.MaxOffset != nil && p.MinOffset.Compare(*p.MaxOffset) > 0 {
		return fmt.Errorf("policy.min-offset %v is above policy.max-offset %v", *p.MinOffset, *p.MaxOffset)
	}
	for _, clock := range timens.AllClocks() {
		if s := c.Defaults.Get(clock); !s.IsZero() && !p.Allows(clock) {
			return fmt.Errorf("defaults.%v is %q, but policy.clocks does not allow that clock", clock, s)
		}
	}
	return nil
}
