package ctl

import (
	"encoding/json"
	"testing"
	"time"

	"oci-timens/internal/criu"
	"oci-timens/timens"
)

// TestAddState has runc's state.json lead to the note in a bundle, which is of this
// container only if its init was started at that time.
func TestAddState(t *testing.T) {
	dir := t.TempDir()
	n := criu.Note{Images: "/images/web", Gap: 3 * time.Second, At: 70 * time.Millisecond, BootID: "b"}
	if err := n.Write(dir); err != nil {
		t.Fatal(err)
	}
	tasks := []timens.Task{{PID: 100, StartTicks: 7}, {PID: 101, StartTicks: 1e6}}
	for _, tt := range []struct {
		state, bootID       string
		elsewhere, restored bool
	}{
		{`{"init_process_pid":100,"config":{"labels":["x=y","bundle=` + dir + `"],"namespaces":[{"type":"NEWPID"},{"type":"NEWTIME"}]}}`, "b", false, true},
		{`{"init_process_pid":100,"config":{"labels":["bundle=` + dir + `"],"namespaces":[{"type":"NEWPID"}]}}`, "b", true, true},
		{`{"pid":100,"bundle":"` + dir + `"}`, "b", false, true},
		{`{"pid":100,"bundle":"` + dir + `"}`, "c", false, false},
		{`{"pid":101,"bundle":"` + dir + `"}`, "b", false, false},
		{`{"pid":102,"bundle":"` + dir + `"}`, "b", false, false},
		{`{"pid":100,"bundle":"` + dir + `/no"}`, "b", false, false},
		{`{"pid":100}`, "b", false, false},
	} {
		var s runtimeState
		if err := json.Unmarshal([]byte(tt.state), &s); err != nil {
			t.Fatal(err)
		}
		v := &view{}
		v.addState(s, tasks, timens.Host{Wall: timens.Wall{BootID: tt.bootID}})
		if v.ExecElsewhere != tt.elsewhere || (v.Restored != nil) != tt.restored || v.Restored != nil && v.Restored.Gap != n.Gap {
			t.Errorf("%s: %+v", tt.state, v)
		}
	}
}
