package engine

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// Names of containerd's CRI plugin, by version of the configuration file.
const (
	criV2 = "io.containerd.grpc.v1.cri"
	criV3 = "io.containerd.cri.v1.runtime"
)

// containerdPatterns are of the kind of path.Match, in which * stops at "/".
var containerdPatterns = []string{"io.timens.*", "io.timens.*/*", "run.oci.timens_offset"}

func (p *planner) containerd() error {
	shim, err := p.program("timens-runc", "--shim", p.Shim)
	if err != nil {
		return err
	}
	c, err := p.containerdRead()
	if err != nil {
		return err
	}
	if err := p.containerdVersion(c); err != nil {
		return err
	}
	change := func(e *editor) error {
		if len(bytes.TrimSpace(c.data)) == 0 || e.name != c.path { // a new file
			// Not noted for --remove: what somebody adds is of that version, too.
			if err := e.document.set([]string{"version"}, c.Version, ""); err != nil {
				return err
			}
		}
		return p.containerdHandler(e, c, shim)
	}
	// Not with containerd 1: there, a plugin's table in an imported file takes the place
	// of the whole table in the main file (mergeConfig, services/server/config/config.go
	// in v1.7.24), while 2.0 and later merge them key by key (cmd/containerd/server/config).
	// An imported file is to be of the same version as the main one.
	if len(c.imports) > 0 && (p.version.atLeast(2, 0) || c.Version >= 3) {
		err = p.fs.dropIn(filepath.Join(c.imports[0], "50-oci-timens.toml"), markOf(Containerd), change)
	} else {
		err = p.fs.edit(c.path, formatTOML, markOf(Containerd), change)
	}
	if err != nil {
		return err
	}
	p.defaultNote(c.normal)
	p.containerdWords(shim)
	return nil
}

// containerdVersion checks the version of the file, or chooses that of a new one.
func (p *planner) containerdVersion(c *containerdFile) error {
	for _, id := range c.Disabled {
		if slices.Contains([]string{"cri", criV2, criV3}, id) {
			p.note("%s disables the CRI plugin (disabled_plugins has %q): the handler is of no use until that is taken out", c.path, id)
		}
	}
	switch {
	case len(bytes.TrimSpace(c.data)) == 0 && p.version.atLeast(2, 0):
		c.Version = 3
	case len(bytes.TrimSpace(c.data)) == 0:
		c.Version = 2
	case c.Version < 2:
		return fmt.Errorf("%s is a configuration of version 1, as it has no key \"version\" that says otherwise: \"containerd config migrate\" prints it in a newer version; write that there and run this again. Docker alone needs only \"timensctl configure docker\"", c.path)
	case c.hides != "":
		return fmt.Errorf("%s, which %s imports, has a table of the CRI plugin, and containerd %s takes that in place of all that %s says of the plugin: edit that file, by --config %s",
			c.hides, c.path, p.version.text, c.path, c.hides)
	case c.Version > 4:
		p.note("%s is of version %d: what holds of versions 3 and 4 is assumed", c.path, c.Version)
	case p.version.before(2, 0) && c.Version > 2:
		return fmt.Errorf("%s is of version %d, which containerd %s does not read: 2 is the last that it does", c.path, c.Version, p.version.text)
	}
	return nil
}

func (c *containerdConf) plugin() string {
	if c.Version >= 3 {
		return criV3
	}
	return criV2
}

func (p *planner) containerdHandler(e *editor, c *containerdFile, shim string) error {
	cri := []string{"plugins", c.plugin(), "containerd"}
	handlers := append(slices.Clone(cri), "runtimes")
	if c.runtime[runtimeName] != nil {
		return fmt.Errorf("%s or a file that it imports has a runtime handler %q, which was not written by timensctl: remove it first", c.path, runtimeName)
	}
	if p.SetDefault {
		if err := e.set(runtimeName, append(slices.Clone(cri), "default_runtime_name")...); err != nil {
			return err
		}
	}
	// With a table of handlers, containerd 1 forgets its built-in one.
	if c.Version == 2 && len(c.runtime) == 0 {
		if err := e.own(append(slices.Clone(handlers), "runc"), member{[]string{"runtime_type"}, runcV2}); err != nil {
			return err
		}
	}
	path, _ := table(c.runtime, c.normal, "options")["BinaryName"].(string)
	p.lowLevelNote(path)
	return e.own(append(slices.Clone(handlers), runtimeName), c.handler(shim)...)
}

const runcV2 = "io.containerd.runc.v2"

// handler is ours: like the default one of this containerd, above all in how cgroups
// are made (SystemdCgroup), but with our program and with annotations.
func (c *containerdFile) handler(shim string) []member {
	list := []member{{[]string{"runtime_type"}, runcV2}}
	normal := table(c.runtime, c.normal)
	var options []member
	if normal["runtime_type"] == runcV2 {
		for _, key := range slices.Sorted(maps.Keys(normal)) {
			if v := normal[key]; !slices.Contains([]string{"runtime_type", "runtime_path", "pod_annotations", "container_annotations"}, key) && plain(v) {
				list = append(list, member{[]string{key}, v})
			}
		}
		given := table(normal, "options")
		for _, key := range slices.Sorted(maps.Keys(given)) {
			if v := given[key]; key != "BinaryName" && plain(v) {
				options = append(options, member{[]string{"options", key}, v})
			}
		}
	}
	for _, key := range []string{"pod_annotations", "container_annotations"} {
		list = append(list, member{[]string{key}, patterns(normal[key])})
	}
	list = append(list, member{[]string{"options", "BinaryName"}, shim})
	return append(list, options...)
}

// patterns are ours and those of the default handler.
func patterns(theirs any) []string {
	all := slices.Clone(containerdPatterns)
	items, _ := theirs.([]any)
	for _, v := range items {
		if s, ok := v.(string); ok && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// plain reports whether a value is a string, a number or a boolean, and says something.
func plain(v any) bool {
	switch v := v.(type) {
	case string:
		return v != ""
	case bool:
		return v
	case int64:
		return v != 0
	}
	return false
}

func (p *planner) containerdWords(shim string) {
	if r, err := p.h.LowLevel(""); err == nil {
		if reason := execReason(r); reason != "" {
			p.note("%s", reason)
		}
	}
	p.note("kubelet finds the handler by a RuntimeClass with \"handler: %s\"; ctr and nerdctl do not read this configuration, and name the shim themselves", runtimeName)
	p.out.Try = append(p.out.Try, tryPod(!p.SetDefault),
		"ctr run --rm --runc-binary "+shim+" --annotation io.timens.boottime==0 docker.io/library/busybox:latest try uptime",
		"nerdctl run --rm --runtime "+shim+" --annotation io.timens.boottime==0 busybox uptime")
	if p.AllContainers {
		p.note("pods without annotations get the clocks of [defaults] in /etc/oci-timens/config.toml")
	}
}
