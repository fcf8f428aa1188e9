package ctl

import (
	"testing"

	"oci-timens/timens"
)

// TestPsPinned has a namespace be bound to a path that is meant for a terminal.
func TestPsPinned(t *testing.T) {
	m := arrange(nil, []timens.Pinned{{Inode: 5, Path: "/run/\x1b[2J\n1*  0"}}, 0, containers{})
	if got := m.Namespaces[0].commands(); got != "/run/?[2J?1*  0" {
		t.Errorf("%q", got)
	}
}
