package engine

import (
	"fmt"
	"slices"
)

// podmanConf is what matters here of containers.conf(5). A list may hold tables that
// say how it is merged.
type podmanConf struct {
	Engine struct {
		HooksDir []any          `toml:"hooks_dir"`
		Runtime  string         `toml:"runtime"`
		Runtimes map[string]any `toml:"runtimes"`
	} `toml:"engine"`
}

// podmanState is what podman's files say together.
type podmanState struct {
	hooksDirs              []string
	runtime                string
	runtimes               map[string]podmanRuntimes
	hooksFrom, runtimeFrom string // which file says so, "" for the default
}

// podmanRuntimes is where a runtime is looked for, and which file says so.
type podmanRuntimes struct {
	paths []string
	from  string
}

// podmanHooksDir is read unless hooks_dir says otherwise, by root and by others
// (DefaultHooksDirs in containers/common, pkg/config/default.go: the same in podman
// 4.3.1 and 5.4.2). So podman reads /etc/containers/oci/hooks.d only if told.
const podmanHooksDir = "/usr/share/containers/oci/hooks.d"

// podmanVariables name a file that podman reads in place of all others, and one that it
// reads after them (newLocked in containers/common, pkg/config).
var podmanVariables = []string{"CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE"}

// podmanElsewhere says that podman is told to read what is not looked at here.
func (p *planner) podmanElsewhere() (said []string) {
	for _, name := range podmanVariables {
		if file := p.h.Environ[name]; file != "" {
			said = append(said, fmt.Sprintf("%s is set to %s: a podman that has this in its environment goes by that file, which is not looked at here", name, file))
		}
	}
	return said
}

// podmanFiles lists podman's files in the order in which later ones win
// (systemConfigs in containers/common, pkg/config).
func (p *planner) podmanFiles() (files []string, err error) {
	for _, base := range p.podmanBases() {
		files = append(files, base)
		more, err := p.fs.dropIns(base+".d", ".conf")
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

func (p *planner) podmanBases() []string {
	bases := []string{"/usr/share/containers/containers.conf", "/etc/containers/containers.conf"}
	if p.Rootless || p.version.atLeast(5, 0) {
		bases = append(bases, p.h.ConfigHome+"/containers/containers.conf")
	}
	return bases
}

func (p *planner) podmanState() (*podmanState, error) {
	files, err := p.podmanFiles()
	if err != nil {
		return nil, err
	}
	s := &podmanState{hooksDirs: []string{podmanHooksDir}, runtimes: map[string]podmanRuntimes{}}
	for _, name := range files {
		data, err := p.fs.read(name)
		if err != nil {
			return nil, err
		}
		if err := s.add(name, data); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *podmanState) add(name string, data []byte) error {
	var c podmanConf
	if err := decodeTOML(name, data, &c); err != nil {
		return err
	}
	if c.Engine.HooksDir != nil {
		s.hooksDirs, s.hooksFrom = mergeList(s.hooksDirs, c.Engine.HooksDir), name
	}
	if c.Engine.Runtime != "" {
		s.runtime, s.runtimeFrom = c.Engine.Runtime, name
	}
	for runtime, value := range c.Engine.Runtimes {
		if paths, ok := value.([]any); ok {
			s.runtimes[runtime] = podmanRuntimes{mergeList(nil, paths), name}
		}
	}
	return nil
}

// mergeList is how podman 4.8 and later read a list: {append = true} in it adds it to
// what was there.
func mergeList(before []string, list []any) (after []string) {
	add := false
	for _, v := range list {
		switch v := v.(type) {
		case string:
			after = append(after, v)
		case map[string]any:
			add = v["append"] == true
		}
	}
	if add {
		after = slices.Concat(before, after)
	}
	return after
}
