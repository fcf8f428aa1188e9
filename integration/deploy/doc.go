// Package deploy tests what is in deploy/kubernetes against a real API server, and the
// installer on a machine with a real containerd.
//
// What becomes of pods belongs to package k8s, which has nodes.
package deploy
