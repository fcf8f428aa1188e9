// Package criu tests checkpoint and restore by CRIU through the shim, with real runtimes
// and podman, in disposable machines. What the clocks did is told by the probe that lives
// through it inside the container.
//
// Tests between two kernels do not belong here.
package criu
