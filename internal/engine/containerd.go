package engine

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Names of containerd's CRI plugin, by version of the configuration file.
const (
	criV2 = "io.containerd.grpc.v1.cri"
	criV3 = "io.containerd.cri.v1.runtime"
)

// containerdPatterns are of the kind of path.Match, in which * stops at "/".
var containerdPatterns = []string{"io.timens.*", "io.timens.*/*", "run.oci.timens_offset"}

// containerdConf is what matters here of containerd's configuration.
type containerdConf struct {
	Version  int            `toml:"version"`
	Imports  []string       `toml:"imports"`
	Disabled []string       `toml:"disabled_plugins"`
	Plugins  map[string]any `toml:"plugins"`
}

func (p *planner) containerd() error {
	shim, err := p.program("timens-runc", "--shim", p.Shim)
	if err != nil {
		return err
	}
	conf := p.Config
	if conf == "" {
		conf = "/etc/containerd/config.toml"
	}
	data, err := p.fs.read(conf)
	if err != nil {
		return err
	}
	var c containerdConf
	if err := decodeTOML(conf, data, &c); err != nil {
		return err
	}
	if err := p.containerdVersion(conf, data, &c); err != nil {
		return err
	}
	change := func(e *editor) error { return p.containerdHandler(e, &c, shim) }
	if dropIn := p.containerdDropIn(conf, &c); dropIn != "" {
		err = p.fs.dropIn(dropIn, markOf(Containerd), func(e *editor) error {
			if err := e.set(c.Version, "version"); err != nil {
				return err
			}
			return change(e)
		})
	} else {
		err = p.fs.edit(conf, formatTOML, markOf(Containerd), func(e *editor) error {
			if data == nil {
				if err := e.set(c.Version, "version"); err != nil {
					return err
				}
			}
			return change(e)
		})
	}
	if err != nil {
		return err
	}
	p.containerdWords(shim)
	return nil
}

// containerdVersion finds the version of the file, or chooses that of a new one.
func (p *planner) containerdVersion(conf string, data []byte, c *containerdConf) error {
	for _, id := range c.Disabled {
		if slices.Contains([]string{"cri", criV2, criV3}, id) {
			p.note("%s disables the CRI plugin (disabled_plugins has %q): no kubelet and no CRI client can use this containerd, nor the handler, until that is taken out", conf, id)
		}
	}
	switch {
	case data == nil && p.version.atLeast(2, 0):
		c.Version = 3
	case data == nil:
		c.Version = 2
	case c.Version < 2:
		return fmt.Errorf("%s is a configuration of version 1, which it is when it has no \"version\" key: \"containerd config migrate\" prints it in a newer version; then run this again. For Docker alone, \"timensctl configure docker\" is enough", conf)
	case c.Version > 4:
		p.note("%s is of version %d: what is known of versions 3 and 4 is assumed", conf, c.Version)
	case p.version.before(2, 0) && c.Version > 2:
		return fmt.Errorf("%s is of version %d, which containerd %s does not read: 2 is the last that it does", conf, c.Version, p.version.text)
	}
	return nil
}

// containerdDropIn returns the path of a drop-in, if main imports a directory. Not
// with containerd 1: there, a plugin's table in an imported file takes the place of
// the whole table in the main file (mergeConfig, services/server/config/config.go in
// v1.7.24), while 2.0 and later merge them key by key (cmd/containerd/server/config).
// An imported file is to be of the same version as the main one.
func (p *planner) containerdDropIn(conf string, c *containerdConf) string {
	if !p.version.atLeast(2, 0) && c.Version < 3 {
		return ""
	}
	for _, pattern := range c.Imports {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(conf), pattern)
		}
		if filepath.Base(pattern) == "*.toml" && !strings.Contains(filepath.Dir(pattern), "*") {
			return filepath.Join(filepath.Dir(pattern), "50-oci-timens.toml")
		}
	}
	return ""
}

func (c *containerdConf) plugin() string {
	if c.Version >= 3 {
		return criV3
	}
	return criV2
}

// handlers returns the runtime handlers that a file has.
func (c *containerdConf) handlers() map[string]any {
	var m any = c.Plugins
	for _, key := range []string{c.plugin(), "containerd", "runtimes"} {
		t, ok := m.(map[string]any)
		if !ok {
			return nil
		}
		m = t[key]
	}
	t, _ := m.(map[string]any)
	return t
}

func (p *planner) containerdHandler(e *editor, c *containerdConf, shim string) error {
	cri := []string{"plugins", c.plugin(), "containerd"}
	handlers := append(slices.Clone(cri), "runtimes")
	if d, ok := e.document.(*tomlDoc); ok && c.handlers()[runtimeName] != nil {
		return fmt.Errorf("%s: line %d: a runtime handler %q is there already, and was not written by timensctl: remove it first",
			e.name, d.line(append(slices.Clone(handlers), runtimeName)), runtimeName)
	}
	if p.SetDefault {
		if err := e.set(runtimeName, append(slices.Clone(cri), "default_runtime_name")...); err != nil {
			return err
		}
	}
	// With a table of handlers, containerd 1 forgets its built-in one.
	if c.Version == 2 && len(c.handlers()) == 0 {
		if err := e.own(append(slices.Clone(handlers), "runc"), member{[]string{"runtime_type"}, "io.containerd.runc.v2"}); err != nil {
			return err
		}
	}
	return e.own(append(slices.Clone(handlers), runtimeName),
		member{[]string{"runtime_type"}, "io.containerd.runc.v2"},
		member{[]string{"pod_annotations"}, containerdPatterns},
		member{[]string{"container_annotations"}, containerdPatterns},
		member{[]string{"options", "BinaryName"}, shim})
}

func (p *planner) containerdWords(shim string) {
	if r, err := p.h.LowLevel(""); err == nil {
		if reason := execReason(r); reason != "" {
			p.note("%s", reason)
		}
	}
	p.note("kubelet finds the handler by a RuntimeClass with \"handler: %s\"; ctr and nerdctl do not read this configuration, and name the shim themselves", runtimeName)
	p.out.Try = append(p.out.Try,
		"ctr run --rm --runc-binary "+shim+" --annotation io.timens.boottime==0 docker.io/library/busybox:latest try uptime",
		"nerdctl run --rm --runtime "+shim+" --annotation io.timens.boottime==0 busybox uptime")
	if p.AllContainers {
		p.note("pods without annotations get the clocks of [defaults] in /etc/oci-timens/config.toml")
	}
}

// hasMark reports whether a file holds something of ours.
func hasMark(data []byte, engine string) bool { return bytes.Contains(data, []byte(markOf(engine))) }
