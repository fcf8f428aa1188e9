package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What somebody has changed since stays when ours is taken out.
func TestEditedSince(t *testing.T) {
	const containerd, daemon, dropIn = "/etc/containerd/config.toml", "/etc/docker/daemon.json", "/etc/containers/containers.conf.d/50-oci-timens.conf"
	replace := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Errorf("no %q in:\n%s", old, s)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	for _, tt := range []struct {
		name    string
		options Options
		file    string
		before  string // nothing: no file
		edit    func(string) string
		want    string
		notes   []string
	}{
		{"a key before", Options{Engine: Containerd}, containerd, debianContainerd, replace("/usr/lib/cni", "/opt/cni"),
			strings.Replace(debianContainerd, "/usr/lib/cni", "/opt/cni", 1),
			[]string{"/etc/containerd/config.toml was edited since: what timensctl added is taken out, the rest stays"}},
		{"a table behind, and a key in our handler", Options{Engine: Containerd, SetDefault: true}, containerd, debianContainerd,
			func(s string) string { return s + "SystemdCgroup = true\n\n[debug]\nlevel = \"debug\"\n" }, debianContainerd + "\n[debug]\nlevel = \"debug\"\n",
			[]string{"/etc/containerd/config.toml was edited since: what timensctl added is taken out, the rest stays"}},
		{"another default", Options{Engine: Containerd, SetDefault: true}, containerd, debianContainerd, replace(`"timens"`, `"kata"`),
			debianContainerd + "\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"kata\"\n",
			[]string{"/etc/containerd/config.toml was edited since: what timensctl added is taken out, the rest stays",
				"/etc/containerd/config.toml: plugins.io.containerd.grpc.v1.cri.containerd.default_runtime_name stays as you have set it"}},
		{"the default restored", Options{Engine: Docker, SetDefault: true}, daemon, "{\n  \"default-runtime\": \"crun\"\n}\n", replace("\n}", ",\n  \"debug\": true\n}"),
			"{\n  \"default-runtime\": \"crun\",\n  \"debug\": true\n}\n", []string{"/etc/docker/daemon.json was edited since: what timensctl added is taken out, the rest stays"}},
		{"laid out anew", Options{Engine: Docker}, daemon, "", func(string) string { return `{"runtimes":{"timens":{"path":"/usr/bin/timens-runc"}},"debug":true}` },
			`{"debug":true}`, []string{"/etc/docker/daemon.json was edited since: what timensctl added is taken out, the rest stays"}},
		{"a key in the drop-in", Options{Engine: Podman}, dropIn, "", func(s string) string { return s + "num_locks = 4096\n" },
			"[engine]\nnum_locks = 4096\n", []string{dropIn + " was edited since: what timensctl added is taken out, the rest stays"}},
		{"a comment in the drop-in", Options{Engine: Podman, Mode: ModeRuntime}, dropIn, "", func(s string) string { return s + "# mine\n" },
			"# mine\n", []string{dropIn + " was edited since: what timensctl added is taken out, the rest stays"}},
		{"emptied by hand", Options{Engine: Podman, Mode: ModeRuntime}, dropIn, "", func(string) string { return "" }, "",
			[]string{dropIn + " was edited since: what timensctl added is taken out, the rest stays",
				leftBehind[Podman]}},
		{"a new file that others have put something into", Options{Engine: Containerd}, containerd, "", func(s string) string { return s + "\n[debug]\nlevel = \"debug\"\n" },
			"version = 2\n\n[debug]\nlevel = \"debug\"\n", []string{"/etc/containerd/config.toml was edited since: what timensctl added is taken out, the rest stays"}},
		{"a hook", Options{Engine: Podman}, "/etc/containers/oci/hooks.d/oci-timens-poststart.json", "", replace(".*", ".+"), "",
			[]string{"/etc/containers/oci/hooks.d/oci-timens-poststart.json was edited since: it is kept as /etc/containers/oci/hooks.d/oci-timens-poststart.json.edited, where the engine does not read it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testCase{options: tt.options}
			if tt.before != "" {
				c.files = map[string]string{tt.file: tt.before}
			}
			h := c.machine(t)
			configure(t, h, tt.options)
			h.put(t, tt.file, tt.edit(h.text(t, tt.file)), 0o644)
			// Neither does another configure lose them.
			if tt.want != "" {
				again := tt.options
				again.AllContainers = true
				if again.Mode == "" && again.Engine == Podman {
					again.Mode = ModeHook
				}
				configure(t, h, again)
				h.valid(t)
			}
			r := configure(t, h, remove(tt.options))
			got, err := h.read(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, string(got)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if tt.want == "" {
				if d := cmp.Diff(tt.notes, r.Notes); d != "" {
					t.Errorf("notes: -want +got:\n%s", d)
				}
			}
		})
	}
}

// The scanner finds its way through everything that TOML has.
func TestTOMLEdit(t *testing.T) {
	const text = "# a\n\"a b\" . 'c' = \"\"\"x\n[no] \\\"\"\"\" # c\nd = ['''\n]''', {e = \"}\"}, # ]\n 1, 1979-05-27 07:32:00]\r\n[[list]]\nx = 1\n[ t . \"u\\u0041\" ] # \"\nf=0x1F#g\n\n[z]"
	d, err := parseTOML("x.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a b/c": "\"\"\"x\n[no] \\\"\"\"\"", "d": "['''\n]''', {e = \"}\"}, # ]\n 1, 1979-05-27 07:32:00]", "t/uA/f": "0x1F"} {
		if got, ok, _ := d.get(strings.Split(path, "/")); got != want || !ok {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	for _, set := range []struct {
		path  string
		value any
	}{{"d", true}, {"t/uA/f", "x\"\n"}, {"t/uA/g", []string{"a"}}, {"z/h", 1}, {"new/i", 2}, {"top", 3}} {
		if err := d.set(strings.Split(set.path, "/"), set.value, "# ours\n"); err != nil {
			t.Error(err)
		}
	}
	want := "# a\n\"a b\" . 'c' = \"\"\"x\n[no] \\\"\"\"\" # c\nd = true\r\ntop = 3\n[[list]]\nx = 1\n[ t . \"u\\u0041\" ] # \"\nf=\"x\\\"\\n\"#g\ng = [\"a\"]\n\n[z]\nh = 1\n\n# ours\n[new]\ni = 2\n"
	if diff := cmp.Diff(want, string(d.bytes())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := d.set([]string{"list", "y"}, 1, ""); err == nil {
		t.Error("a key in a list of tables")
	}
}

// A file that is broken by then is left alone, and named.
func TestBrokenSince(t *testing.T) {
	h := testCase{files: map[string]string{"/etc/docker/daemon.json": "{}"}}.machine(t)
	configure(t, h, Options{Engine: Docker})
	h.put(t, "/etc/docker/daemon.json", h.text(t, "/etc/docker/daemon.json")+"}", 0o640)
	before := h.snapshot(t)
	_, err := Configure(h, Options{Engine: Docker, Remove: true})
	want := `/etc/docker/daemon.json: line 8, column 1: invalid character '}' after top-level value`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if d := cmp.Diff(before, h.snapshot(t)); d != "" {
		t.Errorf("changed (-before +after):\n%s", d)
	}
}
