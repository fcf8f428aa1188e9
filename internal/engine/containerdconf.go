package engine

import (
	"fmt"
	"path/filepath"
	"strings"
)

// containerdConf is what matters here of containerd's configuration.
type containerdConf struct {
	Version  int            `toml:"version"`
	Imports  []string       `toml:"imports"`
	Disabled []string       `toml:"disabled_plugins"`
	Plugins  map[string]any `toml:"plugins"`
}

// containerdFile is the main configuration file with what it imports.
type containerdFile struct {
	containerdConf
	path    string
	data    []byte
	imports []string       // directories whose *.toml are imported
	runtime map[string]any // handlers, those of imports among them
	from    map[string]string
	normal  string // default_runtime_name
	hides   string // the imported file that counts alone, with containerd 1
}

func (p *planner) containerdRead() (*containerdFile, error) {
	c := &containerdFile{path: p.Config, runtime: map[string]any{}, from: map[string]string{}, normal: "runc"}
	if c.path == "" {
		c.path = "/etc/containerd/config.toml"
	}
	var err error
	if c.data, err = p.fs.read(c.path); err != nil {
		return nil, err
	}
	if err := decodeTOML(c.path, c.data, &c.containerdConf); err != nil {
		return nil, err
	}
	c.add(c.path, &c.containerdConf)
	for _, pattern := range c.Imports {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(c.path), pattern)
		}
		files, err := p.containerdImport(c, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			data, err := p.fs.read(name)
			if err != nil {
				return nil, err
			}
			var imported containerdConf
			if err := decodeTOML(name, data, &imported); err != nil {
				return nil, err
			}
			c.add(name, &imported)
			if imported.Plugins[criV2] != nil && p.version.before(2, 0) {
				c.hides = name
			}
		}
	}
	return c, nil
}

// containerdImport lists the files of an import, and notes a directory that drop-ins
// can be put into.
func (p *planner) containerdImport(c *containerdFile, pattern string) (files []string, err error) {
	if dir := filepath.Dir(pattern); filepath.Base(pattern) == "*.toml" && !strings.Contains(dir, "*") {
		c.imports = append(c.imports, dir)
		return p.fs.dropIns(dir, ".toml")
	}
	found, err := filepath.Glob(p.h.real(pattern))
	if err != nil {
		return nil, fmt.Errorf("%s: imports %q: %w", c.path, pattern, err)
	}
	for _, real := range found {
		if name := p.h.within(real); name != c.path {
			files = append(files, name)
		}
	}
	return files, nil
}

// add puts in what one file says.
func (c *containerdFile) add(path string, f *containerdConf) {
	for _, plugin := range []string{criV2, criV3} {
		t := table(f.Plugins, plugin, "containerd")
		if name, ok := t["default_runtime_name"].(string); ok {
			c.normal = name
		}
		for name, handler := range table(t, "runtimes") {
			c.runtime[name], c.from[name] = handler, path
		}
	}
}

// table goes down tables; there may be none.
func table(t map[string]any, path ...string) map[string]any {
	for _, key := range path {
		t, _ = t[key].(map[string]any)
	}
	return t
}
