// Package migration holds tests that move containers between two hosts: virtual machines
// that are up for different times, with the kernel, CRIU, runtimes and podman of a Debian.
// The probe inside the containers watches its clocks, before, after and across, and is
// believed.
//
// Restoring on one host is package criu's.
package migration
