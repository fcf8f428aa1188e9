// Command timensctl shows, explains and tries out the clocks of containers.
package main

import (
	"os"

	"oci-timens/internal/ctl"
)

var version = "dev" // set by the linker

func main() {
	os.Exit(ctl.Main(os.Args, os.Stdout, os.Stderr, version))
}
