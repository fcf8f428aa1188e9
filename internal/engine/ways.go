package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// hookWay reads a file of a hooks directory.
func hookWay(name string, data []byte) (Way, bool) {
	var f struct {
		Hook   ociHook  `json:"hook"`
		When   hookWhen `json:"when"`
		Stages []string `json:"stages"`
	}
	if json.Unmarshal(data, &f) != nil || !isOurs(f.Hook.Path, hookProgram) {
		return Way{}, false
	}
	w := Way{Mode: ModeHook, File: name, Program: f.Hook.Path, Default: true, All: f.When.Always, stages: f.Stages}
	if slices.Contains(f.Stages, ModePrecreate) {
		w.Mode = ModePrecreate
	}
	return w, true
}

func (p *planner) podmanWays(s *Status) ([]Way, error) {
	s.Problems = append(s.Problems, p.podmanElsewhere()...)
	c, err := p.podmanState()
	if err != nil {
		return nil, err
	}
	ways, err := p.hookDirWays(c.hooksDirs)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.runtimes)) {
		r := c.runtimes[name]
		if i := slices.IndexFunc(r.paths, func(path string) bool { return isOurs(path, shimProgram) }); i >= 0 {
			is := c.runtime == name
			ways = append(ways, Way{Mode: ModeRuntime, Name: name, File: r.from, Program: r.paths[i], Default: is, All: true})
		}
	}
	// Our files in a directory that nobody reads.
	_, hooks, precreate := p.podmanDirs()
	for _, dir := range []string{hooks, precreate} {
		unread, err := p.hookDirWays([]string{dir})
		if err == nil && len(unread) > 0 && !slices.Contains(c.hooksDirs, dir) {
			s.Problems = append(s.Problems, fmt.Sprintf("%s is not read: hooks_dir is %q", unread[0].File, c.hooksDirs))
		}
	}
	return ways, nil
}

func (p *planner) dockerWays() (ways []Way, err error) {
	conf := p.dockerFile()
	c, err := p.dockerRead()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Runtimes)) {
		if path := c.Runtimes[name].Path; isOurs(path, shimProgram) {
			ways = append(ways, Way{Mode: ModeRuntime, Name: name, File: conf, Program: path, Default: c.Default == name, All: true})
		}
	}
	if c.Dirs == nil {
		c.Dirs = []string{"/etc/cdi", "/var/run/cdi"}
	}
	for _, dir := range c.Dirs {
		files, err := p.h.dropIns(dir, ".json")
		if err != nil {
			return ways, err
		}
		for _, name := range files {
			data, err := p.h.read(name)
			if err != nil {
				return ways, err
			}
			w, ok := cdiWay(name, data)
			if enabled, said := c.Features["cdi"]; ok && !enabled && (said || !p.version.atLeast(dockerCDI[0], dockerCDI[1])) {
				w.lacks = fmt.Sprintf("%s does not say \"features\": {\"cdi\": true}, without which Docker reads no CDI files", conf)
			}
			if ok {
				ways = append(ways, w)
			}
		}
	}
	return ways, nil
}

// cdiWay reads a CDI file.
func cdiWay(name string, data []byte) (Way, bool) {
	var f struct {
		Kind    string `json:"kind"`
		Devices []struct {
			Name           string `json:"name"`
			ContainerEdits struct {
				Hooks []struct {
					HookName string `json:"hookName"`
					Path     string `json:"path"`
				} `json:"hooks"`
			} `json:"containerEdits"`
		} `json:"devices"`
	}
	if json.Unmarshal(data, &f) != nil {
		return Way{}, false
	}
	for _, d := range f.Devices {
		w := Way{Mode: ModeCDI, Name: f.Kind + "=" + d.Name, File: name}
		for _, h := range d.ContainerEdits.Hooks {
			if isOurs(h.Path, hookProgram) {
				w.Program, w.stages = h.Path, append(w.stages, h.HookName)
			}
		}
		if w.Program != "" {
			return w, true
		}
	}
	return Way{}, false
}

func (p *planner) containerdWays() (ways []Way, err error) {
	c, err := p.containerdRead()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.runtime)) {
		h := table(c.runtime, name)
		path, _ := table(h, "options")["BinaryName"].(string)
		if !isOurs(path, shimProgram) {
			continue
		}
		w := Way{Mode: ModeRuntime, Name: name, File: c.from[name], Program: path, Default: c.normal == name, All: true}
		if c.hides != "" && w.File != c.hides {
			w.lacks = fmt.Sprintf("containerd %s takes what %s says of the CRI plugin in place of all that %s says of it", p.version.text, c.hides, w.File)
		}
		for _, key := range []string{"pod_annotations", "container_annotations"} {
			if lacking := missingPatterns(h[key]); w.lacks == "" && lacking != "" {
				w.lacks = fmt.Sprintf("%s of the handler %q in %s lacks %q: annotations do not arrive", key, name, w.File, lacking)
			}
		}
		ways = append(ways, w)
	}
	return ways, nil
}

// missingPatterns returns the first of ours that a list does not cover.
func missingPatterns(value any) string {
	items, _ := value.([]any)
	for _, key := range []string{"io.timens.monotonic", "io.timens.boottime/container.x"} {
		if !slices.ContainsFunc(items, func(v any) bool {
			pattern, _ := v.(string)
			ok, err := filepath.Match(pattern, key)
			return ok && err == nil
		}) {
			return containerdPatterns[strings.Count(key, "/")]
		}
	}
	return ""
}

func (p *planner) crioWays() (ways []Way, err error) {
	c, err := p.crioRead()
	if err != nil {
		return nil, err
	}
	if ways, err = p.hookDirWays(c.hooksDirs); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.runtimes)) {
		path, _ := table(c.runtimes, name)["runtime_path"].(string)
		if isOurs(path, shimProgram) {
			ways = append(ways, Way{Mode: ModeRuntime, Name: name, File: c.from[name], Program: path, Default: c.normal == name, All: true})
		}
	}
	return ways, nil
}
