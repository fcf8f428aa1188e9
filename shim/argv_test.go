package shim

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	create := func(change func(*invocation)) invocation {
		inv := invocation{command: "create", id: "c1"}
		if change != nil {
			change(&inv)
		}
		return inv
	}
	inB := create(func(i *invocation) { i.bundle = "/b" })
	tests := []struct {
		args string // separated by spaces
		want invocation
	}{
		// What engines send.
		{"--root /run/containerd/runc/k8s.io --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p c1",
			create(func(i *invocation) {
				i.root, i.bundle, i.log, i.logFormat = "/run/containerd/runc/k8s.io", "/b", "/l", "json"
			})},
		{"--cgroup-manager cgroupfs --log-format=json --log=/l create --bundle /b --pid-file /p c1",
			create(func(i *invocation) { i.bundle, i.log, i.logFormat = "/b", "/l", "json" })},

		// The bundle.
		{"create c1", create(nil)},
		{"create -b /b c1", inB},
		{"create --bundle=/b c1", inB},
		{"create --no-pivot --preserve-fds 3 --console-socket s -b /b c1", inB},
		{"create -b /x --bundle /b c1", inB},
		{"create c1 -b /b", inB}, // youki, runc with cli v3
		{"create -b /b -- c1", inB},
		{"create -- c1 -b /b", create(nil)},
		{"create --pid-file -b c1", create(nil)},
		{"run -d --keep --no-subreaper --no-new-keyring -b /b c1", invocation{command: "run", id: "c1", bundle: "/b"}},
		{"create --bundle= c1", create(nil)},

		// getopt_long: abbreviations, groups, a value in the same word.
		{"create -b/b c1", inB},
		{"create -db/b c1", inB},
		{"create --bun /b c1", inB},
		{"create --b=/b c1", inB},
		{"create -f c.json c1", create(func(i *invocation) { i.configFile, i.crunOnly = "c.json", "--config" })},
		{"create -fc.json c1", create(func(i *invocation) { i.configFile, i.crunOnly = "c.json", "--config" })},
		{"create -f=c.json c1", create(func(i *invocation) { i.configFile, i.crunOnly = "=c.json", "--config" })},
		{"create --conf=c.json c1", create(func(i *invocation) { i.configFile, i.crunOnly = "c.json", "--config" })},
		{"create -config=c.json c1", create(func(i *invocation) { i.crunOnly = "-config=c.json" })}, // -c onfig=c.json, to youki

		// Go's flag package: one dash.
		{"-root /r -log=/l create -b /b c1", create(func(i *invocation) { i.root, i.bundle, i.log, i.goOnly = "/r", "/b", "/l", "-log=/l" })}, // -l og=/l
		{"-debug create -no-pivot -b /b c1", inB},
		{"create -bundle /b c1", create(func(i *invocation) { i.bundle, i.goOnly = "/b", "-bundle" })},
		{"create -bundle=/b c1", create(func(i *invocation) { i.bundle, i.goOnly = "/b", "-bundle=/b" })},
		{"create -b=/b c1", create(func(i *invocation) { i.bundle, i.goOnly = "/b", "-b=/b" })},
		{"--debug=true create -b /b c1", inB},

		// What is the command, and what is not.
		{"create create", create(func(i *invocation) { i.id = "create" })},
		{"delete create", invocation{command: "delete"}},
		{"--root create run create", invocation{command: "run", id: "create", root: "create"}},
		{"--root create delete create", invocation{command: "delete", root: "create"}},
		{"-- create c1", create(nil)},
		{"- create c1", invocation{command: "-"}},
		{"exec c1 run", invocation{command: "exec"}},
		{"--unknown exec c1 ls", invocation{}},
		{"features", invocation{command: "features"}},

		{"--unknown=1 delete create", invocation{command: "delete"}},

		// checkpoint and restore.
		{"--root /r checkpoint --image-path /i --work-path /w --leave-running --manage-cgroups-mode ignore c1",
			invocation{command: "checkpoint", id: "c1", root: "/r", imagePath: "/i"}},
		{"checkpoint --pre-dump --parent-path ../p --image-path=i c1", invocation{command: "checkpoint", id: "c1", imagePath: "i", preDump: true}},
		{"checkpoint --pre-dump=false --empty-ns network --status-fd 3 c1", invocation{command: "checkpoint", id: "c1"}},
		{"checkpoint -leave-running -image-path /i c1", invocation{command: "checkpoint", id: "c1", imagePath: "/i"}},
		{"checkpoint --im /i --leave c1", invocation{command: "checkpoint", id: "c1", imagePath: "/i"}},
		{"checkpoint --help", invocation{}},
		{"checkpoint", invocation{command: "checkpoint", bare: true}},
		{"restore --lsm-mount-context", invocation{command: "restore", bare: true}},
		{"restore -d --image-path /i --bundle /b --pid-file p --network-lock skip --lsm-profile x c1",
			invocation{command: "restore", id: "c1", imagePath: "/i", bundle: "/b", optionsEnd: 12}},
		{"restore -db/b -- c1", invocation{command: "restore", id: "c1", bundle: "/b", optionsEnd: 2}},
		{"restore -d c1 --image-path /i", invocation{command: "restore", id: "c1", imagePath: "/i", optionsEnd: 2}},

		// No ID for some, but who knows.
		{"run --", invocation{command: "run"}},
		{"run -f --", invocation{command: "run", configFile: "--", crunOnly: "--config"}},
		{"run -bundle X", invocation{command: "run", bundle: "X", goOnly: "-bundle"}},

		// Nothing is created.
		{"", invocation{}},
		{"--", invocation{}},
		{"--root", invocation{}},
		{"create", invocation{command: "create", bare: true}},
		{"--version create c1", invocation{}},
		{"-v create c1", invocation{}},
		{"--help", invocation{}},
		{"run --help", invocation{}},
		{"create -h c1", invocation{}},
		{"create --help=true c1", invocation{}}, // to runc; others refuse it
		{"checkpoint -h=1 c1", invocation{}},
		{"-v -v=true run c1", invocation{}},
		{"-v -v=false state c1", invocation{}},
		// But here it may be.
		{"--version=false create c1", create(nil)},
		{"create -h=false c1", create(nil)},
		{"create --pid-file --help c1", create(nil)},
	}
	for _, tt := range tests {
		got, err := parse(strings.Fields(tt.args))
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
		}
		if d := cmp.Diff(&tt.want, got, cmp.AllowUnexported(invocation{})); d != "" {
			t.Errorf("%s: -want +got:\n%s", tt.args, d)
		}
	}
}

func TestParseSpaces(t *testing.T) {
	for _, args := range [][]string{{"\t--bundle=/b ", "c1"}, {" -b ", "/b ", "c1"}} {
		got, err := parse(append([]string{"create"}, args...))
		want := &invocation{command: "create", id: "c1", bundle: "/b ", goOnly: args[0]}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(invocation{})); d != "" || err != nil {
			t.Errorf("%q: %v, -want +got:\n%s", args, err, d)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for args, option := range map[string]string{
		"--new x create c1":           "--new",
		"--new create c1":             "--new",
		"-n run c1":                   "-n",
		"--log /l --new exec c1 run":  "--new",
		"--log /l --unknown=1 run c1": "--unknown=1",
		"--log /l create --new c1":    "--new",
		"run --new --":                "--new",
		"create --new --help":         "--new",
		"create --new=x -b /b c1":     "--new=x",
		"create --con /x c1":          "--con", // of two
		"create -dx c1":               "-dx",
		"-v -v=false run c1":          "-v=false", // runc goes on, and crun prints its version
		"--help -d -h=f create c1":    "-h=f",
		"create -h --help=false c1":   "--help=false",
	} {
		inv, err := parse(strings.Fields(args))
		want := `unknown option "` + option + `": what it does to the words after it, and to the bundle, cannot be told; leave it out`
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %+v, error %v", args, inv, err)
		}
		if strings.HasPrefix(args, "--log") && inv.log != "/l" {
			t.Errorf("%s: the log is not known, got %+v", args, inv)
		}
	}
	// Of these runc makes a container whose ID is an option.
	for _, args := range []string{"create -b /b --debug --", "create --rootless --", "create --detach --", "run -v --"} {
		if inv, err := parse(strings.Fields(args)); err == nil || err.Error() != `there is a "--" and no container ID: runc may take an option for it; name the container` {
			t.Errorf("%s: got %+v, error %v", args, inv, err)
		}
	}
	for args, option := range map[string]string{
		"create --bundle": "--bundle", "run -d c1 -b": "--bundle", "run c1 --bun": "--bundle", "run c1 -db": "--bundle",
	} {
		if inv, err := parse(strings.Fields(args)); err == nil || err.Error() != `option "`+option+`" lacks its value` {
			t.Errorf("%s: got %+v, error %v", args, inv, err)
		}
	}
	inv, err := parse([]string{"run", " --bundle"})
	if err == nil || err.Error() != `option "--bundle" lacks its value` {
		t.Errorf("got %+v, error %v", inv, err)
	}
}

func TestInvocationConfig(t *testing.T) {
	for _, tt := range []struct{ bundle, file, dir, name string }{
		{"", "", ".", "config.json"},
		{"/b", "", "/b", "config.json"},
		{"/b", "config.json", "/b", "config.json"},
		{"/b", "other.json", ".", "other.json"},
		{"/b", "/etc/other.json", "/etc", "other.json"},
	} {
		dir, name := (&invocation{bundle: tt.bundle, configFile: tt.file}).config()
		if dir != tt.dir || name != tt.name {
			t.Errorf("%+v: got %q and %q", tt, dir, name)
		}
	}
}

// FuzzArgv: the walker takes any words, and an option means the same with its
// value in the same word or in the next one.
func FuzzArgv(f *testing.F) {
	f.Add("--root\n/r\ncreate\n-b\n/b\nc1", []byte{10, 6, 255, 13, 12}, "/b")
	f.Add("--new\nrun\n--\nid", []byte{11, 255, 255, 14, 1}, "")
	f.Add("-db/x\n-=\n--=\n---\n-\n", []byte{0, 3, 5}, "create")
	f.Fuzz(func(t *testing.T, words string, picks []byte, value string) {
		_, _ = parse(strings.Split(words, "\n"))

		// A command line of known options, in both spellings.
		var apart, joined []string
		for _, p := range picks {
			if int(p) >= len(options) {
				apart, joined = append(apart, "create"), append(joined, "create")
				continue
			}
			o := options[p]
			switch {
			case o.long == "":
			case o.value:
				apart, joined = append(apart, "--"+o.long, value), append(joined, "--"+o.long+"="+value)
			default:
				apart, joined = append(apart, "--"+o.long), append(joined, "--"+o.long)
			}
		}
		a, errA := parse(append(apart, "c1"))
		j, errJ := parse(append(joined, "c1"))
		if d := cmp.Diff(a, j, cmp.AllowUnexported(invocation{})); d != "" || errA != nil || errJ != nil {
			t.Errorf("%q, %q: %v, %v, %s", apart, joined, errA, errJ, d)
		}
	})
}
