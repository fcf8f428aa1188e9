// Package security attacks hook and shim with what is too large, or changes while they
// look at it: in numbers and sizes that are too much for the tests of every day.
//
// What can be tried with one container belongs to the folder above. Who is trusted with
// what is in docs/security.md.
package security
