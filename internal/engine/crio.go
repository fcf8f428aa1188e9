package engine

import (
	"maps"
	"slices"
)

// crioDropIns is the directory that CRI-O reads, whatever the names of files in it.
const crioDropIns = "crio.conf.d"

type crioConf struct {
	Crio struct {
		Runtime struct {
			HooksDir       []string       `toml:"hooks_dir"`
			DefaultRuntime string         `toml:"default_runtime"`
			Runtimes       map[string]any `toml:"runtimes"`
		} `toml:"runtime"`
	} `toml:"crio"`
}

// crioHooks is a directory of CRI-O's own: podman's is not read by it, and both would
// run the hook twice if it were.
const crioHooks = "/etc/crio/hooks.d"

// crioRuntimeRoot is where CRI-O's own runc handler keeps its containers
// (DefaultRuntimeRoot, pkg/config/config.go).
const crioRuntimeRoot = "/run/runc"

// crioState is what CRI-O's files say together: the last that sets a key wins
// (UpdateFromPath, pkg/config/config.go, v1.20.9 to v1.35.6).
type crioState struct {
	hooksDirs []string
	normal    string         // default_runtime
	runtimes  map[string]any // handlers
	from      map[string]string
}

func (p *planner) crioRead() (*crioState, error) {
	s := &crioState{hooksDirs: []string{podmanHooksDir}, runtimes: map[string]any{}, from: map[string]string{}}
	files, err := p.fs.dropIns("/etc/crio/"+crioDropIns, "")
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{"/etc/crio/crio.conf"}, files...) {
		data, err := p.fs.read(name)
		if err != nil {
			return nil, err
		}
		var c crioConf
		if err := decodeTOML(name, data, &c); err != nil {
			return nil, err
		}
		if c.Crio.Runtime.HooksDir != nil {
			s.hooksDirs = c.Crio.Runtime.HooksDir
		}
		if c.Crio.Runtime.DefaultRuntime != "" {
			s.normal = c.Crio.Runtime.DefaultRuntime
		}
		for handler, value := range c.Crio.Runtime.Runtimes {
			s.runtimes[handler], s.from[handler] = value, name
		}
	}
	return s, nil
}

// crio allows no annotations of ours: CRI-O filters only keys of its own by
// allowed_annotations, and does not start when that list holds any other
// (validateAllowedAndGenerateDisallowedAnnotations, pkg/config/config.go in v1.35.6).
func (p *planner) crio() error {
	before, err := p.crioRead() // and all files are valid
	if err != nil {
		return err
	}
	var change func(*editor) error
	if p.out.Mode == ModeHook {
		change, err = p.crioHookFiles(before.hooksDirs)
	} else {
		change, err = p.crioHandler(before)
	}
	if err != nil {
		return err
	}
	if p.Config != "" {
		err = p.fs.edit(p.Config, formatTOML, markOf(CRIO), change)
	} else {
		err = p.fs.dropIn("/etc/crio/"+crioDropIns+"/50-oci-timens.conf", markOf(CRIO), change)
	}
	if err != nil {
		return err
	}
	p.note("this was written by CRI-O's documentation and source; it has not been tried with a CRI-O")
	if p.AllContainers {
		p.note("pods without annotations get the clocks of [defaults] in /etc/oci-timens/config.toml")
	}
	return nil
}

func (p *planner) crioHandler(before *crioState) (func(*editor) error, error) {
	shim, err := p.program("timens-runc", "--shim", p.Shim)
	if err != nil {
		return nil, err
	}
	if r, err := p.h.LowLevel(""); err == nil {
		if reason := execReason(r); reason != "" {
			p.note("%s", reason)
		}
	}
	if !p.SetDefault {
		p.note("pods find the handler by a RuntimeClass with \"handler: %s\"", runtimeName)
	}
	p.out.Try = append(p.out.Try, tryPod(!p.SetDefault))
	p.defaultNote(before.normal)
	handler := p.crioMembers(before, shim)
	return func(e *editor) error {
		if p.SetDefault {
			if err := e.set(runtimeName, "crio", "runtime", "default_runtime"); err != nil {
				return err
			}
		}
		return e.own([]string{"crio", "runtime", "runtimes", runtimeName}, handler...)
	}, nil
}

// crioMembers is our handler: like the default one of this CRI-O, which says where
// conmon is and what else pods may have, but with our program.
func (p *planner) crioMembers(before *crioState, shim string) []member {
	list := []member{{[]string{"runtime_path"}, shim}, {[]string{"runtime_type"}, "oci"}, {[]string{"runtime_root"}, crioRuntimeRoot}}
	normal := table(before.runtimes, p.crioRuntime())
	if kind, _ := normal["runtime_type"].(string); kind != "" && kind != "oci" {
		return list
	}
	for _, key := range slices.Sorted(maps.Keys(normal)) {
		items, isList := normal[key].([]any)
		switch {
		case slices.Contains([]string{"runtime_path", "runtime_type", "runtime_root", "runtime_config_path", "inherit_default_runtime"}, key):
		case plain(normal[key]):
			list = append(list, member{[]string{key}, normal[key]})
		case isList:
			list = append(list, member{[]string{key}, mergeList(nil, items)})
		}
	}
	path, _ := normal["runtime_path"].(string)
	p.lowLevelNote(path)
	return list
}

func (p *planner) crioHookFiles(dirs []string) (func(*editor) error, error) {
	hook, err := p.program("timens-hook", "--hook", p.Hook)
	if err != nil {
		return nil, err
	}
	for _, f := range hookFiles {
		if err := p.fs.put(crioHooks+"/"+f.name, hookFile(hook, f.stage, p.AllContainers)); err != nil {
			return nil, err
		}
	}
	p.hookNote(p.crioRuntime())
	p.out.Try = append(p.out.Try, tryPod(false))
	return func(e *editor) error {
		return e.set(append(slices.DeleteFunc(slices.Clone(dirs), func(d string) bool { return d == crioHooks }), crioHooks), "crio", "runtime", "hooks_dir")
	}, nil
}

// crioRuntime names CRI-O's own low-level runtime: crun since 1.31 (defaultRuntime,
// pkg/config/config.go), runc before.
func (p *planner) crioRuntime() string {
	if c, err := p.crioRead(); err == nil && c.normal != "" && c.normal != runtimeName {
		return c.normal
	}
	if p.version.atLeast(1, 31) {
		return "crun"
	}
	return "runc"
}

// tryPod is a command that runs a pod, by the handler if it has to be named. Not by
// --annotations: a value that begins with "=" is nothing for that.
func tryPod(handler bool) string {
	spec := ""
	if handler {
		spec = `, "spec": {"runtimeClassName": "` + runtimeName + `"}`
	}
	return `kubectl run try --rm -i --restart=Never --image=busybox --overrides='{"metadata": {"annotations": {"io.timens.boottime": "=0"}}` + spec + `}' -- uptime`
}
