// Command timens-runc stands in the place of runc: it takes the same command
// line, gives containers that ask for it their own clocks, and becomes the
// low-level runtime.
package main

import (
	"os"
	"runtime"

	"oci-timens/shim"
)

// The main goroutine stays on the main thread: see shim.Main.
func init() { runtime.LockOSThread() }

func main() { os.Exit(shim.Main(os.Args)) }
