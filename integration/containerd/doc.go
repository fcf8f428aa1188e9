// Package containerd tests this project with containerd itself: set up by timensctl,
// driven by ctr and through the CRI, and taken out again. Each engine has a
// disposable machine of its own.
//
// How the CRI is spoken belongs to package cri, what a machine is to package machine.
package containerd
