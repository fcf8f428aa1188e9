package engine

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What is refused changes nothing, and says what, where, why and what to do.
func TestRefuse(t *testing.T) {
	file := func(name, text string) map[string]string { return map[string]string{name: text} }
	conf := "/etc/containers/containers.conf"
	for _, tt := range []struct {
		name string
		testCase
		prepare func(*testing.T, *Host)
		want    string
	}{
		{"no such engine", testCase{options: Options{Engine: "kata"}}, nil, `unknown engine "kata": want podman, docker, containerd or crio`},
		{"no such mode", testCase{options: Options{Engine: Podman, Mode: "nri"}}, nil, `unknown mode "nri": want runtime, hook, precreate or cdi`},
		{"rootless containerd", testCase{options: Options{Engine: Containerd, Rootless: true}}, nil, `--rootless: containerd is run by root alone; podman and docker have a rootless form`},
		{"remove a mode", testCase{options: Options{Engine: Podman, Remove: true, Mode: ModeHook}}, nil, `--remove takes out whatever was set up: it goes with --config, --rootless and --dry-run alone`},
		{"default hook", testCase{options: Options{Engine: Podman, Mode: ModeHook, SetDefault: true}}, nil, `--set-default is about the default runtime, which --mode=hook does not touch: use --mode=runtime`},
		{"docker hook", testCase{options: Options{Engine: Docker, Mode: ModeHook}}, nil, `docker has no mode "hook": Docker reads no hooks directory; a CDI device can carry the hook: --mode=cdi`},
		{"crio precreate", testCase{options: Options{Engine: CRIO, Mode: ModePrecreate}}, nil, `crio has no mode "precreate": CRI-O knows no precreate stage and does not start when it finds such a hook; use --mode=hook or --mode=runtime`},
		{"all by device", testCase{version: "Docker version 28.2.2", options: Options{Engine: Docker, Mode: ModeCDI, AllContainers: true}}, nil,
			`--all-containers: a CDI device is for containers that name it; use --mode=runtime, which makes the shim the default runtime`},
		{"precreate of an old podman", testCase{version: "podman version 4.3.1", options: Options{Engine: Podman, Mode: ModePrecreate}}, nil,
			`podman 4.3.1 loses linux.timeOffsets of a precreate hook, and containers would start with the host's clocks: 4.6 is the first that keeps them; use --mode=hook or --mode=runtime`},
		{"device of an old docker", testCase{version: "Docker version 20.10.24", options: Options{Engine: Docker, Mode: ModeCDI}}, nil,
			`docker 20.10.24 knows no CDI devices, 25 is the first that does: use --mode=runtime`},

		{"broken containers.conf", testCase{files: file(conf, "[engine]\nruntime = runc\n"), options: Options{Engine: Podman}}, nil,
			`/etc/containers/containers.conf: line 2, column 11: unexpected character U+0072 'r' at start of value`},
		{"broken daemon.json", testCase{files: file("/etc/docker/daemon.json", "{\n  \"debug\": true,\n}\n"), options: Options{Engine: Docker}}, nil,
			`/etc/docker/daemon.json: line 3, column 1: invalid character '}' looking for beginning of object key string`},
		{"broken config.toml", testCase{files: file("/etc/containerd/config.toml", "version = 2\n[plugins\n"), options: Options{Engine: Containerd}}, nil,
			`/etc/containerd/config.toml: line 2, column 9`},
		{"broken crio.conf", testCase{files: file("/etc/crio/crio.conf.d/x", "[crio\n"), options: Options{Engine: CRIO}}, nil, `/etc/crio/crio.conf.d/x: line 1, column 6`},
		{"daemon.json of another kind", testCase{files: file("/etc/docker/daemon.json", "{\"runtimes\": []}"), options: Options{Engine: Docker}}, nil,
			`/etc/docker/daemon.json: runtimes is an array, where an object is needed`},
		{"version 1", testCase{files: file("/etc/containerd/config.toml", "disabled_plugins = [\"cri\"]\n"), options: Options{Engine: Containerd}}, nil,
			`/etc/containerd/config.toml is a configuration of version 1, as it has no key "version" that says otherwise: "containerd config migrate" prints it in a newer version; write that there and run this again. Docker alone needs only "timensctl configure docker"`},
		{"version 3 with containerd 1", testCase{version: "containerd x 1.7.24", files: file("/etc/containerd/config.toml", "version = 3\n"), options: Options{Engine: Containerd}}, nil,
			`/etc/containerd/config.toml is of version 3, which containerd 1.7.24 does not read: 2 is the last that it does`},
		{"hidden by an import", testCase{version: "containerd x 1.7.24", files: map[string]string{
			"/etc/containerd/config.toml": "version = 2\nimports = [\"/etc/containerd/site-*.toml\"]\n", "/etc/containerd/site-1.toml": "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n",
		}, options: Options{Engine: Containerd}}, nil,
			`/etc/containerd/site-1.toml, which /etc/containerd/config.toml imports, has a table of the CRI plugin, and containerd 1.7.24 takes that in place of all that /etc/containerd/config.toml says of the plugin: edit that file, by --config /etc/containerd/site-1.toml`},
		{"inline tables", testCase{files: file("/etc/containerd/config.toml", "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\ncontainerd = {runtimes = {runc = {runtime_type = \"io.containerd.runc.v2\"}}}\n"), options: Options{Engine: Containerd}}, nil,
			`/etc/containerd/config.toml: line 3: cannot be edited so that it sets plugins.io.containerd.grpc.v1.cri.containerd.runtimes.timens.runtime_type: write what is there as [tables], and not as inline tables or dotted keys`},
		{"a handler of somebody else", testCase{files: file("/etc/containerd/config.toml", "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.timens]\nruntime_type = \"x\"\n"), options: Options{Engine: Containerd}}, nil,
			`/etc/containerd/config.toml or a file that it imports has a runtime handler "timens", which was not written by timensctl: remove it first`},
		{"a runtime of somebody else", testCase{files: file("/etc/docker/daemon.json", `{"runtimes": {"timens": {"path": "/opt/x"}}}`), options: Options{Engine: Docker}}, nil,
			`/etc/docker/daemon.json: the runtime "timens" is there already, and was not written by timensctl: {"path": "/opt/x"}; remove it first`},
		{"a drop-in of somebody else", testCase{files: file("/etc/crio/crio.conf.d/50-oci-timens.conf", "[crio]\n"), options: Options{Engine: CRIO}}, nil,
			`/etc/crio/crio.conf.d/50-oci-timens.conf is there already, and was not written by timensctl: move it away, or put what it says elsewhere`},
		{"overruled", testCase{files: file(conf+".d/99-site.conf", "[engine]\nhooks_dir = [\"/opt\"]\n"), options: Options{Engine: Podman}}, nil,
			`/etc/containers/containers.conf.d/99-site.conf sets engine.hooks_dir and is read after /etc/containers/containers.conf.d/50-oci-timens.conf: put "/etc/containers/oci/hooks.d" there, or remove it from there`},
		{"specification dirs", testCase{version: "Docker version 28.2.2", files: file("/etc/docker/daemon.json", `{"cdi-spec-dirs": ["/opt/cdi"]}`), options: Options{Engine: Docker, Mode: ModeCDI}}, nil,
			`/etc/docker/daemon.json: "cdi-spec-dirs" is ["/opt/cdi"], without "/etc/cdi": add it there`},

		{"relative shim", testCase{options: Options{Engine: Docker, Shim: "bin/timens-runc"}}, nil, `--shim "bin/timens-runc" is not an absolute path: engines run it from other directories`},
		{"no shim", testCase{options: Options{Engine: Docker, Shim: "/usr/bin/no"}}, nil, `--shim "/usr/bin/no": no such file or directory`},
		{"not executable", testCase{files: file("/usr/bin/x", ""), options: Options{Engine: Podman, Mode: ModeHook, Hook: "/usr/bin/x"}}, nil, `--hook "/usr/bin/x" is not an executable file`},
		{"not installed", testCase{options: Options{Engine: Podman}}, func(_ *testing.T, h *Host) { h.Installed = func(string) string { return "" } },
			`timens-hook was not found beside timensctl, in its usual places or in PATH: install it, or name it by --hook`},
		{"writable shim", testCase{options: Options{Engine: Docker}}, func(t *testing.T, h *Host) { h.put(t, "/usr/bin/timens-runc", "", 0o775) },
			`--shim "/usr/bin/timens-runc" has mode 0775, so that others than its owner could change what the engine runs: chmod go-w it`},
		{"writable directory", testCase{options: Options{Engine: Docker}}, func(t *testing.T, h *Host) {
			if err := os.Chmod(h.real("/usr/bin"), 0o777); err != nil {
				t.Fatal(err)
			}
		}, `--shim "/usr/bin/timens-runc" is in the directory /usr/bin, where anybody could replace it: chmod o-w that`},
		{"shim in somebody's directory", testCase{options: Options{Engine: Docker, Shim: "/srv/x/timens-runc"}}, func(t *testing.T, h *Host) {
			h.put(t, "/srv/x/timens-runc", "", 0o755)
			h.give(t, "/srv/x")
		}, `--shim "/srv/x/timens-runc" is in the directory /srv/x of user 4321, who could replace it: use one of root's`},
		{"configuration in somebody's directory", testCase{files: file("/srv/x/y/daemon.json", "{}"), options: Options{Engine: Docker, Config: "/srv/x/y/daemon.json"}}, func(t *testing.T, h *Host) {
			h.give(t, "/srv/x")
		}, `--config "/srv/x/y/daemon.json" is in the directory /srv/x of user 4321, who could replace it: use one of root's`},
		{"link from a shared directory", testCase{options: Options{Engine: Docker, Config: "/srv/x/daemon.json"}}, func(t *testing.T, h *Host) {
			h.put(t, "/srv/x/y", "", 0o644)
			if err := errors.Join(os.Symlink("../../etc/daemon.json", h.real("/srv/x/daemon.json")), os.WriteFile(h.real("/etc/daemon.json"), nil, 0o600), os.Chmod(h.real("/srv/x"), 0o777)); err != nil {
				t.Fatal(err)
			}
		}, `--config "/srv/x/daemon.json" is in the directory /srv/x, where anybody could replace it: chmod o-w that`},
		{"link that leads nowhere", testCase{options: Options{Engine: Docker}}, func(t *testing.T, h *Host) {
			h.put(t, "/etc/docker/x", "", 0o644)
			if err := os.Symlink("gone", h.real("/etc/docker/daemon.json")); err != nil {
				t.Fatal(err)
			}
		}, `/etc/docker/daemon.json: a symbolic link that leads nowhere: remove it, or create what it names`},
		{"no regular file", testCase{options: Options{Engine: Docker}}, func(t *testing.T, h *Host) {
			h.put(t, "/etc/docker/daemon.json/x", "", 0o644)
		}, `/etc/docker/daemon.json: not a regular file of at most 16777216 bytes`},
		{"rootless root", testCase{options: Options{Engine: Podman, Rootless: true}}, func(_ *testing.T, h *Host) { h.UID = 0 },
			`--rootless is about the engine of an ordinary user: run it as that user, not as root`},
		{"no home", testCase{options: Options{Engine: Podman, Rootless: true}}, func(_ *testing.T, h *Host) { h.ConfigHome = ".config" },
			`--rootless: HOME is not set, so that this user's configuration cannot be found: set it`},
		{"damaged record", testCase{files: file("/var/lib/oci-timens/configure/podman.json", "{"), options: Options{Engine: Podman, Remove: true}}, nil,
			`/var/lib/oci-timens/configure/podman.json, which says what was there before, is damaged: unexpected end of JSON input; restore the files of the engine by hand and remove it`},
		{"record of another version", testCase{files: file("/var/lib/oci-timens/configure/podman.json", `{"format": 2}`), options: Options{Engine: Podman}}, nil,
			`/var/lib/oci-timens/configure/podman.json was written by another version of timensctl (format 2): use that to remove what it set up`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.machine(t)
			if tt.prepare != nil {
				tt.prepare(t, h)
			}
			before := h.snapshot(t)
			_, err := Configure(h, tt.options)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			after := h.snapshot(t)
			delete(before, "/var/lib/oci-timens/configure/lock")
			delete(after, "/var/lib/oci-timens/configure/lock")
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("changed (-before +after):\n%s", d)
			}
		})
	}
}

// Two configurations cannot both own a file.
func TestTwoConfigs(t *testing.T) {
	h := testCase{files: map[string]string{"/srv/containers.conf": ""}}.machine(t)
	configure(t, h, Options{Engine: Podman, Mode: ModeHook, Config: "/srv/containers.conf"})
	_, err := Configure(h, Options{Engine: Podman, Mode: ModeHook})
	if err == nil || !strings.HasPrefix(err.Error(), `/etc/containers/oci/hooks.d/oci-timens-createruntime.json belongs to what "timensctl configure podman --config /srv/containers.conf" has set up: remove that first`) {
		t.Errorf("got %v", err)
	}
	configure(t, h, Options{Engine: Podman, Remove: true, Config: "/srv/containers.conf"})
	configure(t, h, Options{Engine: Podman, Mode: ModeHook})
}

// The second of two waits, says so, and goes on.
func TestLock(t *testing.T) {
	h := testCase{}.machine(t)
	before := h.snapshot(t)
	first, err := h.lock("/var/lib/oci-timens/configure")
	if err != nil {
		t.Fatal(err)
	}
	waiting, done := make(chan bool, 1), make(chan error, 1)
	second := *h
	second.Waiting = func() { waiting <- true }
	go func() {
		_, err := Configure(&second, Options{Engine: Docker})
		done <- err
	}()
	select {
	case <-waiting:
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("no word of waiting")
	}
	first.release() // removes the file, so that the second has to make it again
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	configure(t, h, Options{Engine: Docker, Remove: true})
	if d := cmp.Diff(before, h.snapshot(t)); d != "" {
		t.Errorf("left (-before +after):\n%s", d)
	}
}

// Where the record was is nothing left, whatever the folder is called.
func TestLockFolder(t *testing.T) {
	h := testCase{options: Options{Rootless: true}}.machine(t)
	h.StateHome = "/home/u/my state"
	before := h.snapshot(t)
	o := Options{Engine: Podman, Rootless: true}
	configure(t, h, o)
	configure(t, h, remove(o))
	if d := cmp.Diff(before, h.snapshot(t)); d != "" {
		t.Errorf("left (-before +after):\n%s", d)
	}
}

// A link is followed, and stays; mode and attributes of the file do, too.
func TestLink(t *testing.T) {
	h := testCase{version: "Docker version 28.2.2", files: map[string]string{"/srv/daemon.json": "{}"}}.machine(t)
	if err := os.MkdirAll(h.real("/etc/docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../srv/daemon.json", h.real("/etc/docker/daemon.json")); err != nil {
		t.Fatal(err)
	}
	marked := unix.Setxattr(h.real("/srv/daemon.json"), "user.x", []byte("y"), 0) == nil
	before := h.snapshot(t)
	r := configure(t, h, Options{Engine: Docker})
	if len(r.Changes) != 1 || r.Changes[0].Path != "/srv/daemon.json" {
		t.Errorf("changed %+v", r.Changes)
	}
	if !strings.Contains(h.text(t, "/etc/docker/daemon.json"), "timens-runc") {
		t.Error("the link does not lead to what was written")
	}
	configure(t, h, Options{Engine: Docker, Remove: true})
	if d := cmp.Diff(before, h.snapshot(t)); d != "" {
		t.Errorf("left (-before +after):\n%s", d)
	}
	value := make([]byte, 8)
	if n, err := unix.Getxattr(h.real("/srv/daemon.json"), "user.x", value); marked && (err != nil || string(value[:n]) != "y") {
		t.Errorf("attribute is %q, %v", value[:n], err)
	}
}
