package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"oci-timens/internal/plan"
)

// Status is how an engine is set up, by whoever did it.
type Status struct {
	Engine   string   `json:"engine"`
	Version  string   `json:"version"` // "" when it is not told
	Ways     []Way    `json:"ways"`
	Problems []string `json:"problems,omitempty"`
}

// Way is one way of containers to their clocks.
type Way struct {
	Mode    string    `json:"mode"`
	Name    string    `json:"name,omitempty"` // of the runtime, handler or device
	File    string    `json:"file"`           // that says so
	Program string    `json:"program"`
	Default bool      `json:"default"` // without being named
	All     bool      `json:"all"`     // also containers without annotations
	Works   []Verdict `json:"works"`

	stages []string // of hooks
	lacks  string   // why annotations do not arrive
}

// Verdict is about one thing that containers want.
type Verdict struct {
	What  string `json:"what"`
	Works bool   `json:"works"`
	Why   string `json:"why"`
}

// Check looks at every engine that is installed, or set up beforehand. It changes
// nothing. ptrace is why no process can be traced, or nil.
func Check(h *Host, ptrace error) []Status {
	lines := make([]string, len(Names))
	var wait sync.WaitGroup
	for i, name := range Names {
		wait.Go(func() { lines[i] = h.Ask(name) })
	}
	wait.Wait()
	list := []Status{}
	for i, name := range Names {
		p := &planner{Options: Options{Engine: name, Rootless: h.UID != 0 && (name == Podman || name == Docker)}, h: h, fs: newOverlay(h), out: &Result{}, version: parseVersion(lines[i])}
		s := Status{Engine: name, Version: p.version.text, Ways: []Way{}}
		ways, err := p.ways(&s)
		if err != nil {
			s.Problems = append(s.Problems, err.Error())
		}
		for _, w := range ways {
			w.Works = p.judge(w, ptrace)
			s.Ways = append(s.Ways, w)
		}
		if p.version.found || len(ways) > 0 {
			list = append(list, s)
		}
	}
	return list
}

func (p *planner) ways(s *Status) ([]Way, error) {
	switch p.Engine {
	case Podman:
		return p.podmanWays(s)
	case Docker:
		return p.dockerWays()
	case Containerd:
		return p.containerdWays()
	}
	return p.crioWays()
}

// Names of our programs, by which a configuration is known.
const hookProgram, shimProgram = "timens-hook", "timens-runc"

// judge says what will work with a way.
func (p *planner) judge(w Way, ptrace error) []Verdict {
	if why := p.broken(w); why != "" {
		if w.Mode == ModeHook || w.Mode == ModePrecreate {
			why += fmt.Sprintf("; %s then leaves out every hook of that directory, and containers start with the host's clocks", p.Engine)
		}
		return []Verdict{{"init", false, why}}
	}
	name := "" // the one that the shim finds
	if w.Mode == ModeHook || w.Mode == ModeCDI {
		switch name = "runc"; p.Engine {
		case Podman:
			name = p.podmanRuntime()
		case CRIO:
			name = p.crioRuntime()
		case Docker:
			name = p.dockerRuntimePath()
		}
	}
	r, err := p.h.LowLevel(name)
	if err != nil {
		return []Verdict{{"init", false, err.Error()}}
	}
	init := Verdict{What: "init", Works: true}
	init.Works, init.Why = p.initWorks(w, r, ptrace)
	exec := Verdict{"exec", init.Works, "it joins the container's time namespace"}
	switch reason := execReason(r); {
	case !init.Works:
		exec.Why = "there is no container to join"
	case reason != "":
		exec.Works, exec.Why = false, reason
	case name != "" && r.Name == "runc" && !slices.Contains(w.stages, "poststart"):
		exec.Works, exec.Why = false, "no hook of ours at poststart, without which runc's exec sees the host's clocks"
	}
	verdicts := []Verdict{init, exec, p.offsets(w)}
	if p.Engine != Docker {
		verdicts = append(verdicts, p.pods(w, init.Works))
	}
	return verdicts
}

// broken says why a program cannot be run.
func (p *planner) broken(w Way) string {
	info, err := os.Stat(p.h.real(w.Program))
	switch {
	case !filepath.IsAbs(w.Program):
		return fmt.Sprintf("%s names %q, which is no absolute path", w.File, w.Program)
	case err != nil:
		return fmt.Sprintf("%s names %s: %v", w.File, w.Program, unwrapPath(err))
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Sprintf("%s names %s, which is not an executable file", w.File, w.Program)
	}
	return ""
}

// initWorks is about the first process of a container.
func (p *planner) initWorks(w Way, r plan.Runtime, ptrace error) (bool, string) {
	native := (w.Mode == ModeRuntime || w.Mode == ModePrecreate) && r.Native()
	switch {
	case p.h.Kernel.TimeNamespaces != nil:
		return false, p.h.Kernel.TimeNamespaces.Error()
	case native:
		return true, fmt.Sprintf("%v sets time offsets itself", r)
	case ptrace != nil:
		return false, ptrace.Error()
	case r.Name != "crun" && p.h.Kernel.ExecSwitch != nil:
		return false, fmt.Sprintf("the init of %v has several threads, and cannot be moved on this kernel: %v", r, p.h.Kernel.ExecSwitch)
	case (w.Mode == ModeHook || w.Mode == ModeCDI) && !slices.Contains(w.stages, "createRuntime"):
		return false, "no hook of ours at createRuntime"
	}
	return true, fmt.Sprintf("timens-hook does it with %v", r)
}

// offsets is about what asks for them.
func (p *planner) offsets(w Way) Verdict {
	v := Verdict{What: "offsets", Works: true}
	who := "what names it"
	switch {
	case w.Default && w.All:
		who = "every container"
	case w.Default:
		who = "every container with annotations"
	}
	switch {
	case w.Mode == ModePrecreate && p.version.before(4, 6):
		v.Works, v.Why = false, fmt.Sprintf("podman %s drops linux.timeOffsets after this stage: 4.6 is the first that keeps them", p.version.text)
	case w.lacks != "":
		v.Works, v.Why = false, w.lacks
	case p.Engine == Docker && p.version.before(dockerAnnotations[0], dockerAnnotations[1]):
		v.Works, v.Why = false, fmt.Sprintf("docker %s has no --annotation, 24 is the first that has: there is only [defaults] in config.toml, for %s", p.version.text, who)
	case w.All:
		v.Why = fmt.Sprintf("of annotations, else of [defaults] in config.toml, for %s", who)
	default:
		v.Why = fmt.Sprintf("of annotations, for %s", who)
	}
	return v
}

// pods is about groups of containers.
func (p *planner) pods(w Way, works bool) Verdict {
	v := Verdict{"pods", works, "one set of clocks for each pod"}
	switch {
	case !works:
		v.Why = "containers do not get their clocks"
	case w.Default && w.All:
	case w.Mode == ModeRuntime && p.Engine == Podman && !w.Default:
		v.Why += ", where all its containers are run with --runtime " + w.Name
	case w.Mode == ModeRuntime && !w.Default:
		v.Why += ", for pods that name the handler " + w.Name + " by a RuntimeClass"
	case w.Mode != ModeRuntime:
		v.Why += ", for its containers with annotations"
	}
	return v
}

// hookDirWays reads directories of hooks; files in later ones replace those of the
// same name in earlier ones (oci-hooks(5)). What is broken in files of others is
// theirs.
func (p *planner) hookDirWays(dirs []string) (ways []Way, err error) {
	files := map[string]string{}
	var names []string
	for _, dir := range dirs {
		list, err := p.h.dropIns(dir, ".json")
		if err != nil && !errors.Is(err, os.ErrPermission) {
			return nil, err
		}
		for _, f := range list {
			if files[filepath.Base(f)] == "" {
				names = append(names, filepath.Base(f))
			}
			files[filepath.Base(f)] = f
		}
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := p.h.read(files[name])
		if err != nil {
			return nil, err
		}
		if w, ok := hookWay(files[name], data); ok {
			ways = addHook(ways, w)
		}
	}
	return ways, nil
}

// addHook makes one way of the stages of the same hook.
func addHook(ways []Way, w Way) []Way {
	for i := range ways {
		if ways[i].Program == w.Program && ways[i].Mode == w.Mode {
			ways[i].stages = append(ways[i].stages, w.stages...)
			if !slices.Equal(w.stages, []string{"poststop"}) { // which is about clocks that are kept alone
				ways[i].All = ways[i].All && w.All
			}
			return ways
		}
	}
	return append(ways, w)
}

// isOurs reports whether a path is that of a program of ours.
func isOurs(path, program string) bool {
	return path == program || strings.HasSuffix(path, "/"+program)
}
