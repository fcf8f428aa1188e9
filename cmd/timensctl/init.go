//go:build cgo

package main

import (
	"os"

	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter"
)

// libcontainer starts this program as "timensctl init" to become a container's
// init. The C constructor of nsenter has then moved it into the namespaces before
// Go started; without _LIBCONTAINER_INITPIPE in the environment it does nothing.
func init() {
	if len(os.Args) == 2 && os.Args[1] == "init" && os.Getenv("_LIBCONTAINER_INITPIPE") != "" {
		libcontainer.Init()
	}
}
