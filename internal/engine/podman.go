package engine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// podmanRuntime names podman's own low-level runtime: what is configured, else crun
// before runc (findRuntime in containers/common, pkg/config/config.go).
func (p *planner) podmanRuntime() string {
	s, err := p.podmanState()
	if err == nil && s.runtime != "" && s.runtime != runtimeName {
		return s.runtime
	}
	if _, err := p.h.LowLevel("crun"); err == nil {
		return "crun"
	}
	return "runc"
}

// podmanDirs are where our files go.
func (p *planner) podmanDirs() (conf, hooks, precreate string) {
	dir := "/etc/containers"
	if p.Rootless {
		dir = p.h.ConfigHome + "/containers"
	}
	return dir + "/containers.conf.d/50-oci-timens.conf", dir + "/oci/hooks.d", dir + "/oci/oci-timens-precreate.d"
}

func (p *planner) podman() error {
	before, err := p.podmanState()
	if err != nil {
		return err
	}
	conf, hooks, precreate := p.podmanDirs()
	var change func(*editor) error
	switch p.out.Mode {
	case ModeRuntime:
		p.defaultNote(before.runtime)
		change, err = p.podmanShim()
	case ModeHook:
		change, err = p.podmanHooks(before, hooks, hookFiles...)
	default:
		if p.version.before(4, 6) {
			return fmt.Errorf("podman %s loses linux.timeOffsets of a precreate hook, and containers would start with the host's clocks: 4.6 is the first that keeps them; use --mode=%s or --mode=%s", p.version.text, ModeHook, ModeRuntime)
		}
		change, err = p.podmanHooks(before, precreate, precreateFile)
	}
	if err != nil {
		return err
	}
	if p.Config != "" {
		err = p.fs.edit(p.Config, formatTOML, markOf(Podman), change)
	} else {
		err = p.fs.dropIn(conf, markOf(Podman), change)
	}
	if err != nil {
		return err
	}
	p.podmanTry()
	if p.Config != "" {
		return nil
	}
	return p.podmanCheck(conf)
}

func (p *planner) podmanShim() (func(*editor) error, error) {
	shim, err := p.program("timens-runc", "--shim", p.Shim)
	if err != nil {
		return nil, err
	}
	p.shimNote(p.podmanRuntime())
	return func(e *editor) error {
		if err := e.set([]string{shim}, "engine", "runtimes", runtimeName); err != nil || !p.SetDefault {
			return err
		}
		return e.set(runtimeName, "engine", "runtime")
	}, nil
}

// podmanHooks writes the hook files. podman is told of their directory if it does not
// read that already; the list replaces what was in effect, so all of that is in it.
func (p *planner) podmanHooks(before *podmanState, dir string, files ...stageFile) (func(*editor) error, error) {
	hook, err := p.program("timens-hook", "--hook", p.Hook)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := p.fs.put(filepath.Join(dir, f.name), hookFile(hook, f.stage, p.AllContainers)); err != nil {
			return nil, err
		}
	}
	p.hookNote(p.podmanRuntime())
	return func(e *editor) error {
		dirs := before.hooksDirs
		if p.Config != "" {
			c := podmanState{hooksDirs: before.hooksDirs, runtimes: map[string]podmanRuntimes{}}
			if err := c.add(e.name, e.bytes()); err != nil {
				return err
			}
			dirs = c.hooksDirs
		}
		if slices.Contains(dirs, dir) {
			return nil
		}
		return e.set(append(slices.Clone(dirs), dir), "engine", "hooks_dir")
	}, nil
}

func (p *planner) program(name, option, given string) (string, error) {
	return p.h.program(name, option, given)
}

// podmanCheck finds files that overrule ours.
func (p *planner) podmanCheck(conf string) error {
	after, err := p.podmanState()
	if err != nil {
		return err
	}
	_, hooks, precreate := p.podmanDirs()
	overruled := func(from, key, want string) error {
		return fmt.Errorf("%s sets engine.%s and is read after %s: put %s there, or remove it from there", from, key, conf, want)
	}
	switch p.out.Mode {
	case ModeRuntime:
		if from := after.runtimes[runtimeName].from; from != conf {
			return overruled(from, "runtimes."+runtimeName, "what is wanted")
		}
		if p.SetDefault && after.runtime != runtimeName {
			return overruled(after.runtimeFrom, "runtime", fmt.Sprintf("%q", runtimeName))
		}
	case ModeHook:
		if !slices.Contains(after.hooksDirs, hooks) {
			return overruled(after.hooksFrom, "hooks_dir", fmt.Sprintf("%q", hooks))
		}
	default:
		if !slices.Contains(after.hooksDirs, precreate) {
			return overruled(after.hooksFrom, "hooks_dir", fmt.Sprintf("%q", precreate))
		}
	}
	return nil
}

func (p *planner) podmanTry() {
	for _, said := range p.podmanElsewhere() {
		p.note("%s", said)
	}
	var option string
	if p.out.Mode == ModeRuntime && !p.SetDefault {
		option = "--runtime " + runtimeName + " "
	}
	p.out.Try = append(p.out.Try, "podman run --rm "+option+"--annotation io.timens.boottime==0 docker.io/library/busybox uptime")
	if p.AllContainers {
		p.note("containers without annotations get the clocks of [defaults] in /etc/oci-timens/config.toml")
	}
	if env := strings.TrimSpace(p.Config); env != "" {
		p.note("podman reads %s only if it is one of its usual files, or CONTAINERS_CONF names it", env)
	}
}
