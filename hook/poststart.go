package hook

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/spec"
	"oci-timens/timens"
)

// newTime is the time namespace in runc's own config (libcontainer/configs,
// NEWTIME in namespaces_linux.go).
const newTime = "NEWTIME"

// poststart makes `runc exec` join the time namespace that createRuntime gave the
// container. runc joins the types of namespaces that the config in its state.json
// lists; that file exists once the container has been created, and from then on
// keeps what is added through pause, resume and update. crun joins whatever init
// is in, and has no state.json.
func poststart(a *asked) error {
	theirs, err := timens.ReadNamespaces(a.state.Pid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a container that has ended by now has nobody to join it
	}
	if err != nil {
		return err
	}
	mine, err := timens.OwnNamespaces()
	if err != nil {
		return err
	}
	// Not theirs.Time: runc runs this stage when it has told init to exec, which may
	// not have done so yet.
	if theirs.ForChildren == mine.ForChildren {
		return nil // it was let go with the host's clocks, as the policy wants
	}
	runtime, err := findRuntime(a.state.ID)
	if err != nil || runtime == nil {
		return err
	}
	keepFiles()
	version, err := lowlevel.Identify(runtime.Exe())
	if err != nil || version.Name != "runc" {
		return err
	}
	// What can set offsets can join: before 1.2.0 runc's exec passes over a type of
	// namespace that it does not know, and from there to 1.2.5 it fails on this one.
	if r := (plan.Runtime{Name: version.Name, Version: version.Version}); !r.Native() {
		a.log.Warnf("%v cannot join a time namespace: what it execs in this container has the host's clocks", r)
		return nil
	}
	dir, err := findState(a, runtime)
	if err != nil {
		return err
	}
	return joinOnExec(dir)
}

// findRuntime returns the low-level runtime that runs this hook: the nearest
// ancestor with a command that starts the container of this ID. There is none where
// libcontainer is part of another program.
func findRuntime(id string) (*timens.Ancestor, error) {
	ancestors, err := timens.Ancestors()
	if err != nil {
		return nil, err
	}
	for _, a := range ancestors {
		argv, err := a.Argv()
		if err != nil {
			return nil, err
		}
		if starts(argv, id) {
			return &a, nil
		}
	}
	return nil, nil
}

// starts reports whether a command line is that of a runtime which starts the
// container.
func starts(argv []string, id string) bool {
	command := slices.IndexFunc(argv, func(arg string) bool {
		return arg == "start" || arg == "run" || arg == "create" || arg == "restore"
	})
	return command > 0 && slices.Contains(argv[command+1:], id)
}

// findState looks for the directory in which runc keeps the container's state.json.
// Without it exec would see the host's clocks, so that not to find it is an error.
func findState(a *asked, runtime *timens.Ancestor) (string, error) {
	roots, err := stateRoots(runtime)
	if err != nil {
		return "", err
	}
	for _, root := range roots {
		dir := filepath.Join(root, a.state.ID)
		if ours, err := isStateOf(dir, a.state.Pid); err != nil || ours {
			return dir, err
		}
	}
	return "", fmt.Errorf("no state.json of container %q in %q, where its runc should keep it: runc exec would see the host's clocks; give runc an absolute --root", a.state.ID, roots)
}

// stateRoots returns where a runc keeps its containers: --root, else
// $XDG_RUNTIME_DIR/runc where it is rootless, else /run/runc (runc 1.5.2, main.go
// and rootless_linux.go). A relative --root is meant from where runc was started,
// which it has left for the bundle if that was named.
func stateRoots(runtime *timens.Ancestor) ([]string, error) {
	argv, err := runtime.Argv()
	if err != nil {
		return nil, err
	}
	root, ok := runtimeOption(argv, "root")
	if ok && filepath.IsAbs(root) {
		return []string{root}, nil
	}
	name := "PWD"
	if !ok {
		name = "XDG_RUNTIME_DIR"
	}
	dir, err := runtime.Getenv(name)
	if err != nil {
		return nil, err
	}
	var roots []string
	if filepath.IsAbs(dir) {
		roots = append(roots, filepath.Join(dir, cmp.Or(root, "runc")))
	}
	if !ok {
		return append(roots, "/run/runc"), nil
	}
	cwd, err := runtime.Dir()
	return append(roots, filepath.Join(cwd, root)), err
}

// runtimeOption finds an option such as --root in the command line of a runtime, of
// several the last.
func runtimeOption(argv []string, option string) (value string, found bool) {
	for i, arg := range argv[min(1, len(argv)):] {
		name, joined, isJoined := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if name != "-"+option && !(name == option && strings.HasPrefix(arg, "-")) {
			continue
		}
		if isJoined {
			value, found = joined, true
		} else if i+2 < len(argv) {
			value, found = argv[i+2], true
		}
	}
	return value, found
}

// isStateOf tells whether dir holds the state.json of the container whose init is
// pid.
func isStateOf(dir string, pid int) (bool, error) {
	file, doc, err := spec.OpenFile(dir, "state.json")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	raw, ok, err := doc.Get("init_process_pid")
	return ok && string(raw) == fmt.Sprint(pid), err
}

// joinOnExec adds the time namespace to a state.json, once.
func joinOnExec(dir string) error {
	file, doc, err := spec.OpenFile(dir, "state.json")
	if err != nil {
		return err
	}
	defer file.Close()
	has, err := listsTime(doc)
	if err != nil || has {
		return err
	}
	if err := doc.Append(map[string]string{"type": newTime, "path": ""}, "config", "namespaces"); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, "state.json"), err)
	}
	return file.Replace(doc)
}

func listsTime(state *spec.Document) (bool, error) {
	raw, _, err := state.Get("config", "namespaces")
	if err != nil {
		return false, err
	}
	var list []struct{ Type string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return false, fmt.Errorf("config.namespaces: %w", err)
	}
	return slices.ContainsFunc(list, func(ns struct{ Type string }) bool { return ns.Type == newTime }), nil
}
