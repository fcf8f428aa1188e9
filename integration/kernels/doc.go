// Package kernels runs the tests of hook, shim and library on real kernels of Debian, in
// virtual machines: of each series, with cgroup v1 and v2, on amd64 and arm64. What was
// seen to work becomes a table. What no kernel of Debian refuses is simulated, and the
// tests that do so say it.
//
// What is tested there is package integration's and timens' own business.
package kernels
