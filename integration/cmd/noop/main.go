// Command noop is the least that a Go program can be: the yardstick for a hook,
// and what runs inside the containers of the benchmark. Asked for its version, it
// passes for a runtime, so that the shim can be measured by itself.
package main

import "os"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		os.Stdout.WriteString("runc version 1.5.2\n")
	}
}
