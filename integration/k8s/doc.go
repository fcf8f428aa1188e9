// Package k8s tests this project in a Kubernetes cluster: etcd, kube-apiserver,
// kubelet and containerd in a disposable machine, driven by kubectl. Pods name
// their node themselves, so that no scheduler and no controllers are needed.
//
// With -serve it starts such a cluster for people ("make cluster"), and with
// -measure it takes times ("make bench-k8s"). What a machine is belongs to package
// machine; what containerd does without a kubelet, to package containerd.
package k8s
