package preflight

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oci-timens/timens"
)

func namespaces(now, next uint64) timens.Namespaces {
	return timens.Namespaces{Time: timens.NamespaceID{Ino: now}, ForChildren: timens.NamespaceID{Ino: next}}
}

func TestRefusal(t *testing.T) {
	c := timens.Container{Namespaces: namespaces(7, 7)}
	if err := Refusal(100, c); err != nil {
		t.Error(err)
	}
	elsewhere, leaving := namespaces(1, 1), namespaces(7, 8)
	for _, tt := range []struct {
		strays []timens.Stray
		want   string
	}{
		{[]timens.Stray{{PID: 120, TID: 120, Name: "sleep", Namespaces: elsewhere}},
			`the container could not be restored: process 120 ("sleep") has other clocks than its init, process 100: it is in time:[1], and init in time:[7]; ` +
				`an exec that does not join the container's time namespace, as that of runc 1.1, does this: end the process, and checkpoint then`},
		{[]timens.Stray{{PID: 120, TID: 121, Name: "a\x1b", Namespaces: leaving}, {PID: 120, TID: 122, Namespaces: leaving}},
			`the container could not be restored: thread 121 ("a\x1b") of process 120 is about to have other clocks: its children, and since Linux 6.2 its next program, will be in time:[8], and it is in time:[7]; ` +
				`end the process, and checkpoint then`},
		{[]timens.Stray{{PID: 100, TID: 100, Name: "runc:[2:INIT]", Namespaces: leaving}},
			`the container could not be restored: process 100 ("runc:[2:INIT]"), its init, is about to have other clocks: its children, and since Linux 6.2 its next program, will be in time:[8], and it is in time:[7]; ` +
				`wait until it runs its program, and checkpoint then`},
		{[]timens.Stray{{PID: 1, TID: 1, Name: "a", Namespaces: elsewhere}, {PID: 2, TID: 2, Name: "b", Namespaces: leaving}, {PID: 2, TID: 3, Name: "b", Namespaces: leaving}, {PID: 4, TID: 4, Name: "c", Namespaces: elsewhere}},
			`the container could not be restored: process 1 ("a") has other clocks than its init, process 100: it is in time:[1], and init in time:[7], and so do 2 ("b"), 4 ("c"); ` +
				`an exec that does not join the container's time namespace, as that of runc 1.1, does this: end the process, and checkpoint then`},
	} {
		c.Strays = tt.strays
		if err := Refusal(100, c); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
	for pid := range 9 {
		c.Strays = append(c.Strays, timens.Stray{PID: 20 + pid, TID: 20 + pid, Name: "x", Namespaces: elsewhere})
	}
	if err := Refusal(100, c); !strings.Contains(err.Error(), ` 21 ("x"), 22 ("x"), 6 more; `) {
		t.Error(err)
	}
}

func TestCheckEnded(t *testing.T) {
	if err := Check(1 << 22); !errors.Is(err, ErrNotRunning) { // above any pid_max
		t.Error(err)
	}
}

// TestInit finds this process by what runtimes would have noted of it.
func TestInit(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir+"/xdg")
	pid, start := os.Getpid(), startTicks(t)
	for name, text := range map[string]string{
		"root/web/state.json":    fmt.Sprintf(`{"init_process_pid":%d,"init_process_start":%d,"config":{}}`, pid, start),
		"root/web/status":        fmt.Sprintf(`{"pid":%d,"process-start-time":%d}`, pid, start),
		"root/old/status":        fmt.Sprintf(`{"pid":%d}`, pid),
		"root/reused/state.json": fmt.Sprintf(`{"init_process_pid":%d,"init_process_start":1}`, pid),
		"root/broken/state.json": `{"init_process_pid":`,
		"root/empty/state.json":  `{}`,
		"xdg/crun/own/status":    fmt.Sprintf(`{"pid":%d,"process-start-time":%d}`, pid, start),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root := dir + "/root"
	for _, tt := range []struct {
		runtime, root, id string
		notRunning        bool
		err               string
	}{
		{"runc", root, "web", false, ""},
		{"crun", root, "web", false, ""},
		{"crun", root, "old", false, ""},
		{"crun", "", "own", false, ""},
		{"runc", root, "reused", true, fmt.Sprintf(`container "reused": its init, process %d by %s/reused/state.json, has ended: the container does not run`, pid, root)},
		{"runc", root, "other", true, `container "other": no other/state.json below ` + root + `: the container does not run`},
		{"crun", "", "other", true, `container "other": no other/status below ` + dir + `/xdg/crun or /run/crun: the container does not run`},
		{"runc", root, "broken", false, `container "broken": ` + root + `/broken/state.json: unexpected end of JSON input`},
		{"runc", root, "empty", false, `container "empty": ` + root + `/empty/state.json names no process`},
		{"runc", root, "../web", false, `container id "../web" is no file name`},
		{"kata", root, "web", false, `container "web": it is not known where "kata" keeps its containers; runc and crun can be used`},
	} {
		got, err := Init(tt.runtime, tt.root, tt.id)
		switch {
		case tt.err == "" && (got != pid || err != nil), tt.err != "" && (err == nil || err.Error() != tt.err), errors.Is(err, ErrNotRunning) != tt.notRunning:
			t.Errorf("Init(%q, %q, %q) = %d, %v", tt.runtime, tt.root, tt.id, got, err)
		}
	}
}

func startTicks(t *testing.T) uint64 {
	t.Helper()
	tasks, _, err := timens.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if task.PID == os.Getpid() {
			return task.StartTicks
		}
	}
	t.Fatal("this process is not there")
	return 0
}
