// Package machine makes disposable machines for tests of whole engines: a tree
// of files that is written to in memory only, a process, mount, network, IPC,
// UTS and cgroup namespace each, and one process whose end ends everything.
// An engine is set up, driven and removed in it, and nothing of that reaches the
// machine below.
//
// What is done in a machine is the tests' business: no engine is known here.
package machine
