package engine

import (
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

// crio writes no allowed_annotations: CRI-O filters only keys of its own by it, and
// does not start when the list holds any other
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
		change, err = p.crioHandler()
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

func (p *planner) crioHandler() (func(*editor) error, error) {
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
	p.out.Try = append(p.out.Try, "crictl runp --runtime "+runtimeName+" pod.json   # with \"annotations\": {\"io.timens.boottime\": \"=0\"}")
	return func(e *editor) error {
		if p.SetDefault {
			if err := e.set(runtimeName, "crio", "runtime", "default_runtime"); err != nil {
				return err
			}
		}
		return e.own([]string{"crio", "runtime", "runtimes", runtimeName},
			member{[]string{"runtime_path"}, shim},
			member{[]string{"runtime_type"}, "oci"},
			member{[]string{"runtime_root"}, crioRuntimeRoot})
	}, nil
}

func (p *planner) crioHookFiles(dirs []string) (func(*editor) error, error) {
	hook, err := p.program("timens-hook", "--hook", p.Hook)
	if err != nil {
		return nil, err
	}
	if err := p.fs.put(crioHooks+"/"+createRuntimeJSON, hookFile(hook, "createRuntime", p.AllContainers)); err != nil {
		return nil, err
	}
	if err := p.fs.put(crioHooks+"/"+poststartJSON, hookFile(hook, "poststart", p.AllContainers)); err != nil {
		return nil, err
	}
	p.hookNote("runc")
	p.out.Try = append(p.out.Try, "crictl runp pod.json   # with \"annotations\": {\"io.timens.boottime\": \"=0\"}")
	return func(e *editor) error {
		return e.set(append(slices.DeleteFunc(slices.Clone(dirs), func(d string) bool { return d == crioHooks }), crioHooks), "crio", "runtime", "hooks_dir")
	}, nil
}
