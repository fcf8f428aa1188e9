// Package nri tests timens-nri with containerd itself, driven through the CRI as a
// kubelet does. Each engine has a disposable machine of its own, in which the plugin
// runs as it does in a cluster: as root without any capability.
//
// Kubernetes is not here, nor is what timens-hook does in any other engine.
package nri
