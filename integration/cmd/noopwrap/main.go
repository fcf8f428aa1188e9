// Command noopwrap replaces itself by the program that WRAPPED names: the least
// that a runtime wrapper can be.
package main

import (
	"os"
	"syscall"
)

func main() {
	err := syscall.Exec(os.Getenv("WRAPPED"), os.Args, os.Environ())
	println(err.Error())
	os.Exit(1)
}
