// Package install tests what brings the programs to a machine: make install,
// releases, packages, man pages and completions.
//
// What the programs do once they are there is tested elsewhere; here it is enough
// that an engine which was set up by the installed ones gives a container its clocks.
package install
