package ctl

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oci-timens/timens"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// timensctl runs the command line and returns what it did.
func timensctl(args ...string) (status int, out, errs string) {
	var o, e bytes.Buffer
	status = Main(append([]string{"timensctl"}, args...), &o, &e, "1.2.3")
	return status, o.String(), e.String()
}

func TestArgumentErrors(t *testing.T) {
	t.Setenv("TIMENS_CONFIG", filepath.Join(t.TempDir(), "absent.toml"))
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"bogus", 1, `unknown command "bogus": "timensctl help" lists the commands`},
		{"ps --bogus", 1, `flag provided but not defined: -bogus; see "timensctl ps --help"`},
		{"ps x", 1, `unexpected argument "x": usage: timensctl ps`},
		{"ps --output xml", 1, `invalid value "xml" for flag -output: unknown format "xml": want table or json; see "timensctl ps --help"`},
		{"inspect", 1, `a PID or a container is missing: usage: timensctl inspect PID|CONTAINER`},
		{"inspect 1 2", 1, `unexpected argument "2": usage: timensctl inspect PID|CONTAINER`},
		{"inspect no-such-one", 1, `no running container has the id "no-such-one": give a PID, or the low-level runtime's id of a container or its beginning; "timensctl ps" lists them`},
		{"check --checkpoint no-such-one", 1, `no running container has the id "no-such-one": give a PID, or the low-level runtime's id of a container or its beginning; "timensctl ps" lists them`},
		{"explain", 1, `a bundle is missing: usage: timensctl explain BUNDLE`},
		{"config", 1, `a command is missing: usage: timensctl config default|validate`},
		{"config bogus", 1, `unknown command "bogus": usage: timensctl config default|validate`},
		{"config validate /no/such/file", 1, `stat /no/such/file: no such file or directory`},
		{"demo x", 1, `unexpected argument "x": usage: timensctl demo`},
		{"run --boottime +1s", 125, `a command is missing: usage: timensctl run [--monotonic SETTING] [--boottime SETTING] -- COMMAND [ARG...]`},
		{"run -- true", 125, `no clock is asked for: give --monotonic, --boottime or both`},
		{"run --boottime 1x -- true", 125, `--boottime "1x": unknown unit "x" (units are d h m s ms us ns) at position 2`},
		{"run --boottime +1s -- /no/such/program", 127, `fork/exec /no/such/program: no such file or directory`},
		{"run --boottime +1s -- /", 126, `exec: "/": is a directory`},
	} {
		status, out, errs := timensctl(strings.Fields(tt.args)...)
		if status != tt.status || errs != "timensctl: "+tt.want+"\n" || out != "" {
			t.Errorf("timensctl %s: status %d, output %q, error %q\nwant status %d, %q", tt.args, status, out, errs, tt.status, tt.want)
		}
	}
}

func TestRunRange(t *testing.T) {
	_, _, errs := timensctl("run", "--monotonic", "-400000d", "--", "true")
	if !strings.HasPrefix(errs, "timensctl: --monotonic: offset -400000d would set CLOCK_MONOTONIC to -") ||
		!strings.Contains(errs, `use "=0" for a clock that starts at zero`) {
		t.Errorf("got %q", errs)
	}
}

// Help and completion come from the library; that they are switched on is ours.
func TestHelpAndCompletion(t *testing.T) {
	if status, out, errs := timensctl(); status != 0 || !strings.Contains(out, "inspect") || strings.Contains(out, "probe") || errs != "" {
		t.Errorf("status %d, output %q, error %q", status, out, errs)
	}
	if status, out, _ := timensctl("completion", "bash"); status != 0 || !strings.Contains(out, "timensctl") {
		t.Errorf("status %d, output %q", status, out)
	}
	if _, out, _ := timensctl("config", "--generate-shell-completion"); !strings.Contains(out, "validate") {
		t.Errorf("completes %q", out)
	}
}

func namespaces(now, next uint64) timens.Namespaces {
	return timens.Namespaces{Time: timens.NamespaceID{Ino: now}, ForChildren: timens.NamespaceID{Ino: next}}
}

func offsetsOf(t *testing.T, mono, boot string) timens.Offsets {
	t.Helper()
	var o timens.Offsets
	if err := o.Monotonic.UnmarshalText([]byte(mono)); err != nil {
		t.Fatal(err)
	}
	if err := o.Boottime.UnmarshalText([]byte(boot)); err != nil {
		t.Fatal(err)
	}
	return o
}

const (
	own    = 4026531834
	id64   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	other1 = 4026532201
	other2 = 4026532300
	other3 = 4026532400
)

// machineOfTasks is one with a pod of two containers, an exec that did not join,
// a container that is being started, and a namespace that nobody is in.
func machineOfTasks(t *testing.T) ([]timens.Task, []timens.Pinned) {
	shifted := offsetsOf(t, "+36h", "-0.5s")
	return []timens.Task{
		{PID: 1, Name: "systemd", Namespaces: namespaces(own, own), Cgroups: []string{"/init.scope"}},
		{PID: 40, Name: "a", Namespaces: namespaces(own, own)},
		{PID: 41, Name: "b\x1b[2J", Namespaces: namespaces(own, own)},
		{PID: 42, Name: "c", Namespaces: namespaces(own, own)},
		{PID: 90, Name: "conmon", Namespaces: namespaces(own, own), Cgroups: []string{"/machine.slice/libpod-conmon-" + id64 + ".scope"}},
		{PID: 100, Name: "app", Namespaces: namespaces(other1, other1), Offsets: shifted, StartTicks: 7, Cgroups: []string{"/", "/pods/web"}},
		{PID: 101, Name: "worker", Namespaces: namespaces(other1, other1), Offsets: shifted, Cgroups: []string{"/", "/pods/web/sub"}},
		{PID: 102, Name: "sh", Namespaces: namespaces(own, own), Cgroups: []string{"/", "/pods/web"}},
		{PID: 110, Name: "db", Namespaces: namespaces(other1, other1), Offsets: shifted, Cgroups: []string{"/kubepods.slice/cri-containerd-" + id64 + ".scope"}},
		{PID: 120, Name: "runc:[2:INIT]", Namespaces: namespaces(own, other2), Offsets: offsetsOf(t, "+1d", "+0"), Cgroups: []string{"/"}},
	}, []timens.Pinned{{Inode: other3, Path: "/run/clocks"}}
}

// states writes what runtimes keep of the container "web", and of one that ended
// and whose PID is another's now.
func states(t *testing.T) []string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"runc/web/state.json":     `{"id":"web","init_process_pid":100,"init_process_start":7}`,
		"runc/ended/state.json":   `{"id":"ended","init_process_pid":101,"init_process_start":99}`,
		"crun/starting/status":    `{"pid":120,"bundle":"/b"}`,
		"runc/broken/state.json":  `{`,
		"runc/web-2/other.json":   `{"init_process_pid":1}`,
		"crun/nothing/state.json": `{"init_process_pid":1}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return []string{dir + "/runc/*/state.json", dir + "/crun/*/status"}
}

func TestPs(t *testing.T) {
	tasks, pinned := machineOfTasks(t)
	m := arrange(tasks, pinned, 3, findContainers(tasks, states(t)))
	var table, data bytes.Buffer
	m.write(&table)
	golden(t, "ps.txt", table.String())
	if err := writeJSON(&data, m); err != nil {
		t.Fatal(err)
	}
	golden(t, "ps.json", data.String())
}

func TestFindContainer(t *testing.T) {
	tasks, _ := machineOfTasks(t)
	c := findContainers(tasks, states(t))
	for _, tt := range []struct {
		name, id, err string
		init          int
	}{
		{"web", "web", "", 100},
		{"w", "web", "", 100},
		{"starting", "starting", "", 120},
		{"0123", id64, "", 110},
		{"ended", "", `no running container has the id "ended": give a PID, or the low-level runtime's id of a container or its beginning; "timensctl ps" lists them`, 0},
		{"", "", `no running container has the id "": give a PID, or the low-level runtime's id of a container or its beginning; "timensctl ps" lists them`, 0},
	} {
		id, err := c.find(tt.name)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if id != tt.id || c.init[id] != tt.init || text != tt.err {
			t.Errorf("find(%q) = %q with init %d, error %q", tt.name, id, c.init[id], text)
		}
	}
	c.init["web-3"] = 5
	if _, err := c.find("we"); err == nil || err.Error() != `container id "we" is not unique: web, web-3` {
		t.Errorf("got %v", err)
	}
}

func TestIDInCgroup(t *testing.T) {
	for path, want := range map[string]string{
		"/":               "",
		"/user.slice":     "",
		"/docker/" + id64: id64,
		"/machine.slice/libpod-" + id64 + ".scope/container":                      id64,
		"/kubepods-pod1.slice:cri-containerd:" + id64:                             id64,
		"/machine.slice/libpod-conmon-" + id64 + ".scope":                         "",
		"/docker/" + id64[:63]:                                                    "",
		"/docker/" + strings.ToUpper(id64):                                        "",
		"/docker/" + id64 + "/docker/" + strings.Replace(id64, "0123", "9999", 1): strings.Replace(id64, "0123", "9999", 1),
	} {
		if got := idInCgroup(path); got != want {
			t.Errorf("idInCgroup(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestInspectOutput(t *testing.T) {
	tasks, _ := machineOfTasks(t)
	known := findContainers(tasks, states(t))
	host := timens.Host{Clocks: timens.Clocks{Monotonic: 842123456789, Boottime: 900000000000}}
	var b bytes.Buffer
	for _, v := range []*view{
		{process: process{PID: 100, Container: "web"}, Namespace: other1, NamespaceForChildren: other1,
			Threads: []threads{{3, other1, other1}, {1, other1, other2}}},
		{process: process{PID: 120, Container: "starting"}, Namespace: own, Initial: true, NamespaceForChildren: other2,
			OffsetsForChildren: jsonOffsets(tasks[9].Offsets), Threads: []threads{{5, own, own}}},
		{process: process{PID: 7}, Namespace: other3, NamespaceForChildren: other2, OffsetsForChildren: &offsets{}},
		{process: process{PID: 100, Container: "web"}, Namespace: other1, NamespaceForChildren: other1, ExecElsewhere: true,
			Restored: &restored{"/images/web", 12588345678, jsonOffsets(offsetsOf(t, "+1d", "-0.5s")), jsonOffsets(tasks[5].Offsets)}},
	} {
		v.Host = clocks(host.Clocks)
		v.addTasks(tasks, known)
		if err := v.addClocks(host); err != nil {
			t.Fatal(err)
		}
		v.write(&b)
		b.WriteString("----\n")
	}
	golden(t, "inspect.txt", b.String())
}

func TestChanges(t *testing.T) {
	list, err := changes(
		[]byte(`{"a":{"n":12345678901234567890,"list":[1,{"x":"<"}]},"gone":true,"same":[{}]}`),
		[]byte(`{"same":[{}],"a":{"list":[1,{"x":"y"},{"type":"time"}],"n":12345678901234567890},"new":{"k":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, c := range list {
		got += c.String()
	}
	want := `- a.list[1].x: "<"
+ a.list[1].x: "y"
+ a.list[2]: {"type":"time"}
- gone: true
+ new: {"k":[]}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
