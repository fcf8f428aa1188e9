package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"oci-timens/internal/lowlevel"
	"oci-timens/timens"
)

func TestCheckpointReport(t *testing.T) {
	here := namespaces(other1, other1)
	whole := timens.Container{Namespaces: here, Processes: 2, Threads: 7}
	stray := whole
	stray.Strays = []timens.Stray{{PID: 102, TID: 102, Name: "sh", Namespaces: namespaces(own, own)}}
	init := process{PID: 100, Name: "app", Container: "web"}
	criu := lowlevel.CRIU{Path: "/usr/sbin/criu", Version: "4.1.1"}
	var b bytes.Buffer
	for _, tt := range []struct {
		name  string
		works bool
		facts checkpointFacts
	}{
		{"ready", true, checkpointFacts{init: init, container: whole, criu: criu}},
		{"by PID", true, checkpointFacts{init: process{PID: 100, Name: "app"}, container: whole, criu: criu}},
		{"an exec that did not join, and no CRIU", false, checkpointFacts{init: init, container: stray, criuErr: errors.New("CRIU is missing: install it")}},
		{"CRIU does not work", false, checkpointFacts{init: init, container: whole, criu: criu, criuErr: errors.New("CRIU 4.1.1 (/usr/sbin/criu) does not work on this kernel")}},
		{"not to be looked at", false, checkpointFacts{init: init, containerErr: errors.New("process 100: permission denied"), criu: criu}},
		{"old kernel", false, checkpointFacts{missing: fmt.Errorf("kernel 4.19 has none: %w", timens.ErrNotSupported), criu: criu}},
	} {
		tt.facts.kernel = "6.18.0"
		r := tt.facts.report()
		fmt.Fprintf(&b, "== %s\n", tt.name)
		r.write(&b)
		if r.Works != tt.works {
			t.Errorf("%s: works: %v", tt.name, r.Works)
		}
	}
	golden(t, "checkpoint.txt", b.String())
}
