// Go's runtime looks for changes of its cgroup by default, with a goroutine for that: of no
// use to what runs for a millisecond.
//
//go:debug updatemaxprocs=0

// Command timens-runc stands in the place of runc: it takes the same command
// line, gives containers that ask for it their own clocks, and becomes the
// low-level runtime.
package main

import (
	"os"

	"oci-timens/shim"
)

// Not in main, because init functions are run on the main thread: see shim.Main.
// runtime.LockOSThread would keep main there as well, but starts another thread,
// which takes a tenth of the time that all of this does.
func init() { os.Exit(shim.Main(os.Args)) }

func main() {}
