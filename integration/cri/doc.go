// Package cri is a client of the Kubernetes Container Runtime Interface, with the
// calls that a kubelet makes to run a pod, so that tests can run pods without
// one.
//
// It fails no tests and judges no clocks: that is for its callers. What an engine
// has to be set up with to serve it is not known here.
package cri
