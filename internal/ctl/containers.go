package ctl

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"oci-timens/timens"
)

// stateFiles are where low-level runtimes keep what they know of each container,
// in a directory called by its id: runc's and youki's state.json, crun's status.
// containerd and Docker give them a root directory for each of their namespaces.
var stateFiles = []string{
	"/run/runc/*/state.json",
	"/run/crun/*/status",
	"/run/youki/*/state.json",
	"/run/containerd/runc/*/*/state.json",
	"/run/containerd/runc/*/*/status",
	"/run/docker/runtime-*/*/*/state.json",
	"/run/docker/runtime-*/*/*/status",
	"/run/user/*/runc/*/state.json",
	"/run/user/*/crun/*/status",
	"/run/user/*/youki/*/state.json",
	"/run/user/*/docker/runtime-*/*/*/state.json",
	"/run/user/*/docker/runtime-*/*/*/status",
}

// runtimeState is the part of such a file that says which process is meant, and where
// its bundle is.
type runtimeState struct {
	RuncPID   int    `json:"init_process_pid"`
	RuncStart uint64 `json:"init_process_start"`
	PID       int    `json:"pid"`                // crun's and youki's
	CrunStart uint64 `json:"process-start-time"` // with the year of crun 0.20

	Bundle string   `json:"bundle"` // crun's and youki's
	Config struct { // runc's
		Labels     []string                `json:"labels"`
		Namespaces []struct{ Type string } `json:"namespaces"`
	} `json:"config"`
}

// bundle returns where the container's config.json is, or "".
func (s runtimeState) bundle() string {
	for _, l := range s.Config.Labels {
		if dir, ok := strings.CutPrefix(l, "bundle="); ok {
			return dir
		}
	}
	return s.Bundle
}

// containers knows which processes belong to which container.
type containers struct {
	init  map[string]int          // a container's init, by its id
	of    map[int]string          // a container's id, by PID
	state map[string]runtimeState // what its runtime keeps, by its id
}

// findContainers assigns tasks to containers: by what runtimes keep, and by the
// names of cgroups where those say it.
func findContainers(tasks []timens.Task, patterns []string) containers {
	c := containers{map[string]int{}, map[int]string{}, map[string]runtimeState{}}
	byPID := map[int]timens.Task{}
	for _, t := range tasks {
		byPID[t.PID] = t
	}
	groups := map[string]string{}
	for id, s := range readStates(patterns) {
		pid, start := s.RuncPID+s.PID, s.RuncStart+s.CrunStart // a file has one of each
		t, ok := byPID[pid]
		if !ok || start != 0 && start != t.StartTicks {
			continue // it has ended, and the number may be another's
		}
		c.init[id], c.of[pid], c.state[id] = pid, id, s
		for _, g := range t.Cgroups {
			if slices.Contains(strings.Split(g, "/"), id) {
				groups[g] = id
			}
		}
	}
	for _, t := range tasks {
		if _, ok := c.of[t.PID]; ok {
			continue
		}
		if id := c.byCgroup(t, groups); id != "" {
			c.of[t.PID] = id
			if c.init[id] == 0 {
				c.init[id] = t.PID // the first of them
			}
		}
	}
	return c
}

func readStates(patterns []string) map[string]runtimeState {
	states := map[string]runtimeState{}
	for _, p := range patterns {
		files, _ := filepath.Glob(p)
		for _, f := range files {
			var s runtimeState
			data, err := os.ReadFile(f)
			if err == nil && json.Unmarshal(data, &s) == nil {
				states[filepath.Base(filepath.Dir(f))] = s
			}
		}
	}
	return states
}

// byCgroup returns the container that a task's cgroups name, or "".
func (c containers) byCgroup(t timens.Task, groups map[string]string) string {
	for _, g := range t.Cgroups {
		for known, id := range groups {
			if g == known || strings.HasPrefix(g, known+"/") {
				return id
			}
		}
	}
	for _, g := range t.Cgroups {
		if id := idInCgroup(g); id != "" {
			return id
		}
	}
	return ""
}

// idInCgroup finds an engine's container id, 64 hexadecimal digits, in a cgroup
// path such as /docker/ID, /machine.slice/libpod-ID.scope/container or
// /kubepods.slice/…/cri-containerd-ID.scope. podman's monitor, which is outside
// of the container, has a cgroup with the id as well.
func idInCgroup(path string) string {
	for _, e := range slices.Backward(strings.Split(path, "/")) {
		if strings.Contains(e, "conmon") {
			return ""
		}
		e = strings.TrimSuffix(e, ".scope")
		e = e[strings.LastIndexAny(e, "-:")+1:]
		if len(e) == 64 && strings.Trim(e, "0123456789abcdef") == "" {
			return e
		}
	}
	return ""
}

// find returns the container that is called so, or whose id begins so.
func (c containers) find(name string) (id string, err error) {
	if _, ok := c.init[name]; ok {
		return name, nil
	}
	var match []string
	for id := range c.init {
		if name != "" && strings.HasPrefix(id, name) {
			match = append(match, id)
		}
	}
	switch len(match) {
	case 1:
		return match[0], nil
	case 0:
		return "", fmt.Errorf("no running container has the id %q: give a PID, or the low-level runtime's id of a container or its beginning; \"timensctl ps\" lists them", name)
	}
	slices.Sort(match)
	return "", fmt.Errorf("container id %q is not unique: %s", name, strings.Join(match, ", "))
}

// ids lists the containers of tasks, in order, each once.
func (c containers) ids(tasks []timens.Task) []string {
	set := map[string]bool{}
	for _, t := range tasks {
		if id := c.of[t.PID]; id != "" {
			set[id] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
