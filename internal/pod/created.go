package pod

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"oci-timens/spec"
)

// kubelets is in the path of every cgroup that a kubelet gives a pod, below whatever
// root it is told (defaultNodeAllocatableCgroupName, pkg/kubelet/cm of Kubernetes 1.34):
// "/kubepods/burstable/podUID/ID", or "kubepods-burstable-podUID.slice:cri-containerd:ID".
const kubelets = "kubepods"

// MayBeEdited reports whether [AsCreated] may change the config.json that has this text.
func MayBeEdited(config []byte) bool {
	return bytes.Contains(config, []byte(kubelets)) && bytes.Contains(config, []byte(spec.KeyContainerdSandbox))
}

// AsCreated gives a container those annotations of ours that its pod was created with,
// and reports whether it had others. In Kubernetes all of them are the pod's, and
// containerd hands a container, which may be started anew or later than the others, the
// ones that the pod has now (containerSpec, internal/cri/server/container_create.go of
// containerd 2.4.2). config.json of the sandbox, which is in a bundle beside the
// container's, still has the first.
//
// Other clients of containerd than a kubelet may annotate single containers, whose
// annotations stay; so do those of a pod whose sandbox has no bundle there.
func AsCreated(doc *spec.Document, bundle string) (edited bool, err error) {
	annotations, err := doc.Annotations()
	if err != nil {
		return false, err
	}
	id, in, err := spec.Pod(annotations)
	if err != nil || !in || annotations[spec.KeyContainerdSandbox] != id {
		return false, err
	}
	cgroup, err := doc.CgroupsPath()
	if err != nil || !strings.Contains(cgroup, kubelets) {
		return false, err
	}
	created, err := sandboxAnnotations(filepath.Join(bundle, "..", id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return doc.SetOwnAnnotations(annotations, created)
}

// sandboxAnnotations are those of a config.json, as far as they are ours.
func sandboxAnnotations(bundle string) (map[string]string, error) {
	f, text, err := spec.OpenText(bundle, "config.json")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !spec.Mentioned(text) {
		return nil, nil
	}
	doc, err := f.Parse(text)
	if err != nil {
		return nil, err
	}
	return doc.Annotations()
}
