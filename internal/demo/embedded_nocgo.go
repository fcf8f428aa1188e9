//go:build !cgo

package demo

import "errors"

func newEmbedded(string, string) (runner, error) {
	return nil, errors.New("libcontainer needs cgo, and this timensctl was built without: build it with CGO_ENABLED=1")
}
