package spec

import (
	"fmt"
	"strings"
)

// namespaceKeys are those by which engines name the Kubernetes namespace of a pod, of
// sandboxes and containers alike: containerd's own (pull request 4922 there), the
// kubelet's label, which CRI-O makes an annotation of, and CRI-O's own.
var namespaceKeys = []string{"io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace", "io.kubernetes.cri-o.Namespace"}

// maxNamespace is the longest name of one, as of any DNS label.
const maxNamespace = 63

// podNamespace returns the Kubernetes namespace of the container, "" outside of Kubernetes.
// A pod's author may write under the keys of other engines than the one that runs it, and
// cannot under those of that: so all that are there have to agree.
func podNamespace(a map[string]string) (namespace string, err error) {
	var key string
	for _, k := range namespaceKeys {
		v, ok := a[k]
		switch {
		case !ok:
		case !isName(v) || len(v) > maxNamespace:
			return "", fmt.Errorf("%s: %q is no namespace, in which a snapshot of clocks could be kept", source(k), brief(v))
		case key != "" && v != namespace:
			return "", fmt.Errorf("annotations %q: %q and %q: %q contradict each other: in which namespace the snapshot of clocks is kept cannot be told", key, namespace, k, v)
		default:
			key, namespace = k, v
		}
	}
	if _, kubernetes := a[keyContainerdType]; kubernetes && namespace == "" {
		return "", fmt.Errorf("in which namespace the snapshot of clocks is kept cannot be told: the container is in a pod, and has no annotation %q, which containerd sets", namespaceKeys[0])
	}
	return namespace, nil
}

// ParseSavedName checks a name as in Request.Save: "NAME", or "NAMESPACE/NAME" for a pod's.
func ParseSavedName(s string) (string, error) {
	namespace, name, found := strings.Cut(s, "/")
	if !found {
		namespace, name = "a", s
	}
	if !isSavedName(name) || !isName(namespace) || len(namespace) > maxNamespace {
		return "", fmt.Errorf("%q is no name of a snapshot, nor NAMESPACE/NAME: a name is %s", brief(s), savedNames)
	}
	return s, nil
}
