// Package timens is the kernel side of Linux time namespaces: values for
// clocks and their offsets, reading what the kernel holds, creating
// namespaces, starting a process inside a new one, and giving one to a process
// that another program is about to start.
//
// A time namespace (Linux 5.6, CONFIG_TIME_NS) shifts CLOCK_MONOTONIC and
// CLOCK_BOOTTIME, with their _RAW, _COARSE and _ALARM relatives, for the tasks
// inside. It never changes CLOCK_REALTIME. See time_namespaces(7).
//
// The kernel freezes the offsets of a namespace when the first task enters, so
// the one order that works is: create, write, enter. Everything here follows it.
//
// What an OCI annotation or a config.json looks like does not belong here; this
// package knows processes, files below /proc and system calls, and is the only
// one in this module that touches them.
package timens
