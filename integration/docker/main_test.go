// Package docker tests timensctl, timens-runc and timens-hook with Docker: real
// daemons, each in a disposable machine. What a daemon does with clocks is seen
// by the probe inside its containers.
//
// How files of an engine are edited is tested beside what edits them.
package docker

import (
	"fmt"
	"os"
	"testing"

	"oci-timens/integration/machine"
)

func TestMain(m *testing.M) {
	code := machine.Main(m)
	if err := writeTables(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
