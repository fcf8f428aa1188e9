// Command timens-hook is an OCI runtime hook that gives containers their own clocks.
package main

import (
	"os"

	"oci-timens/hook"
)

var version = "dev" // set by the linker

func main() { os.Exit(hook.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, version)) }
