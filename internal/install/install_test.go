package install

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// node is an empty node, and an image with programs.
type node struct {
	Options
	out bytes.Buffer
}

func newNode(t *testing.T, content string) *node {
	t.Helper()
	n := &node{Options: Options{Host: t.TempDir(), From: t.TempDir(), Prefix: "/opt/oci-timens", Version: "v1.0.0"}}
	n.Out = &n.out
	n.image(t, content)
	return n
}

func (n *node) image(t *testing.T, content string) {
	t.Helper()
	for _, name := range Programs {
		put(t, filepath.Join(n.From, name), name+content, 0o755)
	}
}

func put(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func (n *node) install(t *testing.T) string {
	t.Helper()
	n.out.Reset()
	if err := Install(n.Options); err != nil {
		t.Fatal(err)
	}
	return n.out.String()
}

// files lists what is on the node, without the digests.
func (n *node) files(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(n.Host, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(n.Host, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInstall(t *testing.T) {
	n := newNode(t, "1")
	if said := n.install(t); !strings.HasPrefix(said, "installed /opt/oci-timens/versions/v1.0.0-") {
		t.Errorf("said %q", said)
	}
	current := filepath.Join(n.Host, n.Prefix, "current")
	for _, name := range Programs {
		info, err := os.Stat(filepath.Join(current, name))
		if err != nil || info.Mode() != 0o755 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	before := n.files(t)
	if said := n.install(t); !strings.HasSuffix(said, " is installed already\n") {
		t.Errorf("the second time, it said %q", said)
	}
	if after := n.files(t); !slices.Equal(after, before) {
		t.Errorf("the second time left %q, the first %q", after, before)
	}
	// What somebody has broken is repaired.
	put(t, filepath.Join(current, "timens-hook"), "x", 0o755)
	n.install(t)
	if text, err := os.ReadFile(filepath.Join(current, "timens-hook")); string(text) != "timens-hook1" {
		t.Errorf("a broken program is %q, %v", text, err)
	}

	if err := Uninstall(n.Options); err != nil {
		t.Fatal(err)
	}
	if left := n.files(t); len(left) > 0 {
		t.Errorf("uninstall left %q", left)
	}
	if err := Uninstall(n.Options); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

// A replaced version stays for as long as a container may be starting with it.
func TestUpgrade(t *testing.T) {
	n := newNode(t, "1")
	n.install(t)
	link := filepath.Join(n.Host, n.Prefix, "current")
	first, _ := os.Readlink(link)
	old := time.Now().Add(-2 * keepReplaced)
	if err := os.Chtimes(filepath.Join(filepath.Dir(link), first), old, old); err != nil {
		t.Fatal(err)
	}
	n.image(t, "2") // of the same version, as two builds of one commit with changes are
	n.install(t)
	second, _ := os.Readlink(link)
	if first == second {
		t.Fatalf("both are %s", first)
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(link), first, "timens-hook")); string(text) != "timens-hook1" {
		t.Errorf("the replaced version holds %q, %v", text, err)
	}
	if err := os.Chtimes(filepath.Join(filepath.Dir(link), first), old, old); err != nil {
		t.Fatal(err)
	}
	if said := n.install(t); !strings.Contains(said, "removed /opt/oci-timens/"+first) {
		t.Errorf("said %q", said)
	}
	n.Version = "v2/../..0"
	n.install(t)
	if third, _ := os.Readlink(link); !strings.HasPrefix(third, "versions/v2_.._..0-") {
		t.Errorf("the third is %s", third)
	}
}

// Whoever goes through the link while it is switched finds a whole program.
func TestUpgradeIsAtomic(t *testing.T) {
	n := newNode(t, "1")
	n.install(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			n.image(t, []string{"1", "2"}[i%2])
			if err := Install(n.Options); err != nil {
				t.Error(err)
			}
		}
	}()
	hook := filepath.Join(n.Host, n.Prefix, "current", "timens-hook")
	for {
		if text, err := os.ReadFile(hook); err != nil || len(text) != len("timens-hook1") {
			t.Fatalf("%q, %v", text, err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestConfig(t *testing.T) {
	n := newNode(t, "1")
	n.Config = filepath.Join(n.From, "config.toml")
	own := filepath.Join(n.Host, "etc/oci-timens/config.toml")
	part := filepath.Join(n.Host, "etc/oci-timens/config.d/90-kubernetes.toml")

	put(t, n.Config, "# nothing\n[policy]\n", 0o644)
	n.install(t)
	if _, err := os.Stat(filepath.Dir(own)); err == nil {
		t.Error("a configuration without settings was written")
	}
	put(t, n.Config, "[policy]\nmax-offset = \"30d\"\n", 0o644)
	if said := n.install(t); !strings.Contains(said, "wrote /etc/oci-timens/config.d/90-kubernetes.toml\n") {
		t.Errorf("said %q", said)
	}
	if text, err := os.ReadFile(part); string(text) != "[policy]\nmax-offset = \"30d\"\n" {
		t.Errorf("the node has %q, %v", text, err)
	}
	if said := n.install(t); strings.Contains(said, "wrote") {
		t.Errorf("the second time, it said %q", said)
	}
	put(t, n.Config, "", 0o644)
	n.install(t)
	if _, err := os.Stat(filepath.Dir(own)); err == nil {
		t.Error("what is empty by now was not removed")
	}
	put(t, own, "[policy]\nmin-offset = \"1d\"\n", 0o644)
	put(t, n.Config, "[policy]\nmax-offset = \"30d\"\n", 0o644)
	n.install(t)
	if err := Uninstall(n.Options); err != nil {
		t.Fatal(err)
	}
	if left := n.files(t); !slices.Equal(left, []string{"etc/oci-timens/config.toml"}) {
		t.Errorf("uninstall left %q", left)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *node)
		want   string
	}{
		"no TOML": {func(t *testing.T, n *node) { put(t, n.Config, "policy\n", 0o644) },
			`nothing is changed on this node: configuration file "/etc/oci-timens/config.d/90-kubernetes.toml" line 1: expected '=' after key`},
		"unknown key": {func(t *testing.T, n *node) { put(t, n.Config, "[policy]\nclock = []\n", 0o644) },
			`nothing is changed on this node: configuration file "/etc/oci-timens/config.d/90-kubernetes.toml" line 2: unknown key "policy.clock"`},
		"contradicts the node's own": {func(t *testing.T, n *node) {
			put(t, filepath.Join(n.Host, "etc/oci-timens/config.toml"), "[policy]\nmin-offset = \"31d\"\n", 0o644)
		}, `nothing is changed on this node: configuration "/etc/oci-timens/config.toml" with its drop-ins: policy.min-offset +31d is above policy.max-offset +30d`},
		"no such configuration": {func(_ *testing.T, n *node) { n.Config = "/nowhere" }, "--config: open /nowhere: no such file or directory"},
		"no host":               {func(_ *testing.T, n *node) { n.Host = "/nowhere" }, `--host "/nowhere": the node's files are not mounted there: stat /nowhere: no such file or directory`},
		"relative host":         {func(_ *testing.T, n *node) { n.Host = "host" }, `--host "host": want the absolute path at which the node's files are mounted`},
		"prefix":                {func(_ *testing.T, n *node) { n.Prefix = "/./" }, `--prefix "/./": want the absolute path of a folder of its own`},
		"restart of nothing":    {func(_ *testing.T, n *node) { n.Restart = []string{"true"} }, "--engine-config and --restart are about the engine that --engine names, and none is"},
		"image": {func(t *testing.T, n *node) {
			if err := os.Remove(filepath.Join(n.From, "timens-runc")); err != nil {
				t.Fatal(err)
			}
		}, "the image lacks a program: open "},
		"current is a folder": {func(t *testing.T, n *node) { put(t, filepath.Join(n.Host, n.Prefix, "current/x"), "", 0o644) },
			"/opt/oci-timens/current is not what timens-install has put there: "},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "1")
			n.Config = filepath.Join(n.From, "config.toml")
			put(t, n.Config, "[policy]\nmax-offset = \"30d\"\n", 0o644)
			c.change(t, n)
			err := Install(n.Options)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(n.Host, "etc/oci-timens/config.d")); err == nil {
				t.Error("the configuration was written")
			}
			if _, err := os.Stat(filepath.Join(n.Host, n.Prefix, "current/timens-hook")); err == nil {
				t.Error("programs were installed")
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"instal":                        `timens-install: unknown command "instal": want install, uninstall or wait` + "\n",
		"install now":                   `timens-install: unexpected argument "now"` + "\n",
		"uninstall --host /nowhere":     `timens-install: --host "/nowhere": the node's files are not mounted there: stat /nowhere: no such file or directory` + "\n",
		"install --host / --prefix opt": `timens-install: --prefix "opt": want the absolute path of a folder of its own` + "\n",
	} {
		var out, errw bytes.Buffer
		if status := Main(append([]string{"timens-install"}, strings.Fields(args)...), &out, &errw, "v1"); status != 1 || errw.String() != want {
			t.Errorf("%s: %d, %q\nwant %q", args, status, errw.String(), want)
		}
	}
}
