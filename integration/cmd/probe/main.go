// Command probe is the program that integration tests run inside containers.
package main

import (
	"os"

	"oci-timens/internal/probe"
)

func main() { os.Exit(probe.Run(os.Stdout, os.Args[1:])) }
