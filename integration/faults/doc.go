// Package faults lets things go wrong: hook, shim and plugin are killed at each of
// their system calls, each of their file operations fails, the process whose clocks are
// to be set dies at each step, loses its PID to another, or does what no init does.
// Whatever happens, a container has the clocks that it asks for or does not start, who
// asked for it gets an error, no file is half written, and nothing is left.
//
// What can be seen without a fault belongs to package integration above.
package faults
