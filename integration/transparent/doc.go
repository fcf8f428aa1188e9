// Package transparent compares what a low-level runtime does by itself with what it does
// when timens-runc is started in its place: the same command lines on the same files, one
// after the other, with everything compared that can be seen from outside. Nothing may
// differ but what is listed in this package, with its reason.
//
// Whether clocks are right does not belong here; the tests of package integration show it.
package transparent
