// Package spec is the OCI side: what the annotations of a container ask for,
// an edit of config.json that loses nothing, and the state that a runtime gives
// to its hooks.
//
// A config.json is edited by replacing a few bytes of it. Typed structs would
// drop the fields they do not know, and a decoded tree would lose the order of
// keys and the digits of numbers.
//
// Whether a request is granted, and by which mechanism, does not belong here:
// this package knows no policy, no kernel and no runtime, and logs nothing.
package spec
