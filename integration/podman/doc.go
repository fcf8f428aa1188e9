// Package podman tests podman as people run it: real versions of it, as root and
// as an ordinary user, with real low-level runtimes, set up by timensctl. Each test
// has a disposable machine of its own.
//
// What it takes to give a container its clocks is tested elsewhere.
package podman
