// Package integration holds tests that start real containers with real
// low-level runtimes, and ask a probe inside what its clocks read. The tests
// run as root, in mount and PID namespaces of their own, so that they leave the
// machine as it was and end with all their processes.
//
// What can be tested without a container belongs beside the code it tests.
package integration
