package spec

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The keys by which containerd and CRI-O name the sandbox of the pod that a
// container belongs to. podman sets CRI-O's for the containers of a pod, but not for
// its infra container, and leaves the type out since 5.0 (pkg/specgen/generate).
const (
	KeyContainerdSandbox = "io.kubernetes.cri.sandbox-id"
	keyCrioSandbox       = "io.kubernetes.cri-o.SandboxID"
	typeContainer        = "container"
)

// maxPodID is the longest ID of a pod; engines use 64 hexadecimal digits.
const maxPodID = 128

// Pod returns the ID of the pod that a container with these annotations is in, and
// whether it is in one. A pod's sandbox is not: its clocks are its own, and the others'.
func Pod(a map[string]string) (id string, in bool, err error) {
	kind, err := agreed(a, keyContainerdType, keyCrioType)
	if err != nil || kind == typeSandbox {
		return "", false, err
	}
	if id, err = agreed(a, KeyContainerdSandbox, keyCrioSandbox); err != nil {
		return "", false, err
	}
	switch {
	case id == "" && kind != typeContainer:
		return "", false, nil
	case id == "":
		return "unnamed", true, nil
	case !isName(id) || len(id) > maxPodID: // it becomes a part of a file's name
		return "", false, fmt.Errorf("the ID of the container's pod, %q, is none: at most %d letters, digits, \"-\", \"_\" and \".\"", brief(id), maxPodID)
	}
	return id, true, nil
}

// Joined is the process whose namespaces a container joins, by paths such as
// /proc/PID/ns/net. The zero value is none.
type Joined struct {
	PID  int
	File string // in its ns folder, of the namespace that names it
}

// sharedNamespaces are those that a pod's containers may share with its sandbox, the
// one that tells best which process that is first. A container that another is
// debugged from joins a pid namespace that is not the sandbox's.
var sharedNamespaces = []struct {
	typ  specs.LinuxNamespaceType
	file string
}{
	{specs.NetworkNamespace, "net"}, {specs.UTSNamespace, "uts"}, {specs.IPCNamespace, "ipc"},
	{specs.CgroupNamespace, "cgroup"}, {specs.UserNamespace, "user"}, {specs.PIDNamespace, "pid"},
}

// Joined returns the process whose namespaces the container joins.
func (d *Document) Joined() (Joined, error) {
	for _, ns := range sharedNamespaces {
		_, path, err := d.Namespace(string(ns.typ))
		if err != nil {
			return Joined{}, err
		}
		name, inProc := strings.CutPrefix(path, "/proc/")
		name, isOne := strings.CutSuffix(name, "/ns/"+ns.file)
		if pid, err := strconv.Atoi(name); inProc && isOne && err == nil && pid > 0 {
			return Joined{pid, ns.file}, nil
		}
	}
	return Joined{}, nil
}

// isContainer reports whether these are the annotations of the container called
// name, for which key is meant.
func isContainer(a map[string]string, key, name string) (bool, error) {
	kind, err := agreed(a, keyContainerdType, keyCrioType)
	if err != nil {
		return false, fmt.Errorf("%s: %w", source(key), err)
	}
	if kind == typeSandbox {
		return false, nil
	}
	own, err := agreed(a, keyContainerdName, keyCrioName)
	if err != nil {
		return false, fmt.Errorf("%s: %w", source(key), err)
	}
	if own == "" {
		base, _, _ := strings.Cut(key, "/")
		return false, fmt.Errorf("%s: this container has no name in a pod (no annotation %s or %s): use %s",
			source(key), keyContainerdName, keyCrioName, base)
	}
	return own == name, nil
}

// agreed returns the value of whichever of two keys is present.
func agreed(a map[string]string, k1, k2 string) (string, error) {
	v1, v2 := a[k1], a[k2]
	switch {
	case v1 == "" || v1 == v2:
		return v2, nil
	case v2 == "":
		return v1, nil
	}
	return "", fmt.Errorf("annotations %q: %q and %q: %q contradict each other", k1, brief(v1), k2, brief(v2))
}
