// Command timens-nri is an NRI plugin that gives pods their own clocks.
package main

import (
	"os"

	"oci-timens/nri"
)

var version = "dev" // set by the linker

func main() { os.Exit(nri.Main(os.Args, os.Stdout, os.Stderr, version)) }
