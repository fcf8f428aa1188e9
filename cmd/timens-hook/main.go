// Go's runtime looks for changes of its cgroup by default, with a goroutine for that: of no
// use to what runs for a millisecond.
//
//go:debug updatemaxprocs=0

// Command timens-hook is an OCI runtime hook that gives containers their own clocks.
package main

import (
	"os"

	"oci-timens/hook"
)

var version = "dev" // set by the linker

// Not in main, because init functions are run on the main thread, and stay there:
// see hook.Main.
func init() { os.Exit(hook.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, version)) }

func main() {}
