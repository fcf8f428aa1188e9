// Command timens-install puts the programs of its container image onto the node,
// and takes them away again.
package main

import (
	"os"

	"oci-timens/internal/install"
)

var version = "dev" // set by the linker

func main() {
	os.Exit(install.Main(os.Args, os.Stdout, os.Stderr, version))
}
