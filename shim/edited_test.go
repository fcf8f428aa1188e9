package shim

import (
	"strings"
	"testing"

	"oci-timens/spec"
)

const ofPod = `"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-id":"box","io.kubernetes.cri.container-name":"a"`

// TestEdited has containers of a pod whose annotations were edited after it was created.
func TestEdited(t *testing.T) {
	const kubelets, others = "/kubepods/besteffort/pod1/ID", "/machine/ID"
	for name, tt := range map[string]struct {
		box, own string // annotations
		cgroup   string
		want     string // what is asked for boottime in the end
		note     bool
	}{
		"the same":         {`"io.timens.boottime":"+1h"`, `"io.timens.boottime":"+1h"`, kubelets, "+1h", false},
		"another value":    {`"io.timens.boottime":"+1h"`, `"io.timens.boottime":"+2h"`, kubelets, "+1h", true},
		"nonsense":         {`"io.timens.boottime":"+1h"`, `"io.timens.boottime":"x"`, kubelets, "+1h", true},
		"an unknown key":   {`"io.timens.boottime":"+1h"`, `"io.timens.boottime":"+1h","io.timens.x":"1"`, kubelets, "+1h", true},
		"added":            {`"a":"b"`, `"io.timens.boottime":"+2h"`, kubelets, "", true},
		"added for one":    {`"io.timens.boottime":"+1h"`, `"io.timens.boottime":"+1h","io.timens.boottime/container.a":"+2h"`, kubelets, "+1h", true},
		"removed":          {`"io.timens.boottime":"+1h"`, `"a":"b"`, kubelets, "+1h", true},
		"removed for one":  {`"io.timens.boottime/container.a":"+3h"`, `"a":"b"`, kubelets, "+3h", true},
		"never":            {`"a":"b"`, `"a":"c"`, kubelets, "", false},
		"systemd's":        {`"io.timens.boottime":"+1h"`, `"io.timens.boottime":"+2h"`, "kubepods-burstable-pod1.slice:cri-containerd:ID", "+1h", true},
		"another client's": {`"a":"b"`, `"io.timens.boottime":"+2h"`, others, "+2h", false},
		"kubepods by name": {`"a":"b"`, `"io.timens.boottime":"+2h","x":"kubepods"`, others, "+2h", false},
		"no sandbox there": {"", `"io.timens.boottime":"+2h"`, kubelets, "+2h", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, `{"annotations":{`+ofPod+`,`+tt.own+`},"linux":{"cgroupsPath":"`+tt.cgroup+`","namespaces":[{"type":"pid"}]}}`, "")
			if tt.box != "" {
				w.write(t, "box/config.json", `{"annotations":{`+tt.box+`}}`, 0o600)
			}
			if code := w.run("create", "--bundle", "@", "ID"); code != 0 {
				t.Fatalf("exit status %d: %s", code, w.stderr.String())
			}
			text := w.read(t, "bundle/config.json")
			doc, err := spec.ParseDocument([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			annotations, err := doc.Annotations()
			if err != nil {
				t.Fatal(err)
			}
			r, err := spec.ParseAnnotations(annotations)
			if err != nil || r.Boottime.Value != tt.want {
				t.Errorf("asks for %q, %v: %s", r.Boottime.Value, err, text)
			}
			if shifted := strings.Contains(text, "timeOffsets"); shifted != (tt.want != "") {
				t.Errorf("shifted: %v: %s", shifted, text)
			}
			if said := strings.Contains(w.read(t, "own.log"), "edited since: create it anew"); said != tt.note {
				t.Errorf("logged %q", w.read(t, "own.log"))
			}
		})
	}
}

// TestEditedUnknown has a sandbox of which cannot be told what the pod had asked.
func TestEditedUnknown(t *testing.T) {
	w := newWorld(t, `{"annotations":{`+ofPod+`},"linux":{"cgroupsPath":"/kubepods/x"}}`, "")
	w.write(t, "box/config.json", `{"annotations":{"io.timens.boottime":}}`, 0o600)
	if code := w.run("create", "--bundle", "@", "ID"); code != 1 || len(w.execs) > 0 ||
		!strings.Contains(w.stderr.String(), "/box/config.json: line 1") {
		t.Errorf("exit status %d, %d execs, %s", code, len(w.execs), w.stderr.String())
	}
}
