package install

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

// programs and what goes along with them, as they are installed below PREFIX. The
// documents, of which there will be more, are not among them.
var installed = []string{
	"-rwxr-xr-x bin/timens-runc",
	"-rwxr-xr-x bin/timensctl",
	"-rwxr-xr-x libexec/oci/hooks.d/timens-hook",
	"-rw-r--r-- share/bash-completion/completions/timensctl",
	"-rw-r--r-- share/doc/oci-timens/CHANGELOG.md",
	"-rw-r--r-- share/doc/oci-timens/LICENSE",
	"-rw-r--r-- share/doc/oci-timens/README.md",
	"-rw-r--r-- share/doc/oci-timens/SECURITY.md",
	"-rw-r--r-- share/doc/oci-timens/config.toml",
	"-rw-r--r-- share/doc/oci-timens/copyright",
	"-rw-r--r-- share/doc/oci-timens/third-party-licenses",
	"-rw-r--r-- share/fish/vendor_completions.d/timensctl.fish",
	"-rw-r--r-- share/man/man5/oci-timens-config.toml.5.gz",
	"-rw-r--r-- share/man/man7/io.timens.7.gz",
	"-rw-r--r-- share/man/man8/timens-hook.8.gz",
	"-rw-r--r-- share/man/man8/timens-runc.8.gz",
	"-rw-r--r-- share/man/man8/timensctl.8.gz",
	"-rw-r--r-- share/zsh/site-functions/_timensctl",
}

// checkout is a clone in which "make build" was called.
func checkout(t testing.TB, name string) string {
	t.Helper()
	dir := clone(t, name)
	if err := shell(`cd "$1" && make build HAVE_CC=no`, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// list returns the files below a folder with their modes.
func list(t testing.TB, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		path, err = filepath.Rel(dir, path)
		files = append(files, fmt.Sprintf("%v %s", info.Mode(), path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestMakeInstall(t *testing.T) {
	dir := checkout(t, "install")
	for _, c := range []struct{ prefix, variable string }{
		{"usr", ""}, {"usr/local", "PREFIX=/usr/local"}, {"opt/of mine", "PREFIX=/opt/of mine"},
	} {
		t.Run(c.prefix, func(t *testing.T) {
			dest := t.TempDir()
			make := func(target string) {
				t.Helper()
				if err := shell(`cd "$1" && umask 077 && make "$2" DESTDIR="$3" ${4:+"$4"}`, dir, target, dest, c.variable); err != nil {
					t.Fatal(err)
				}
			}
			make("install")
			files := list(t, filepath.Join(dest, c.prefix))
			files = slices.DeleteFunc(files, func(f string) bool {
				return strings.HasPrefix(f, "-rw-r--r-- share/doc/oci-timens/docs/") && strings.HasSuffix(f, ".md")
			})
			if !slices.Equal(files, installed) {
				t.Errorf("installed:\n%s", strings.Join(files, "\n"))
			}
			for _, d := range []string{"bin", "libexec/oci/hooks.d", "share/doc/oci-timens"} {
				if info, err := os.Stat(filepath.Join(dest, c.prefix, d)); err != nil || info.Mode().Perm() != 0o755 {
					t.Errorf("%v, %v", info, err)
				}
			}
			mine := filepath.Join(dest, c.prefix, "libexec/oci/hooks.d/mine")
			if err := os.WriteFile(mine, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			make("uninstall")
			if files := list(t, dest); len(files) != 1 {
				t.Errorf("left: %q", files)
			}
			if err := os.Remove(mine); err != nil {
				t.Fatal(err)
			}
			make("uninstall") // for the folders; and there is nothing wrong with nothing to do
			for _, d := range []string{"libexec/oci", "share/doc/oci-timens"} {
				if _, err := os.Stat(filepath.Join(dest, c.prefix, d)); err == nil {
					t.Errorf("%s is left", d)
				}
			}
		})
	}
}

// Nothing is built by who installs, who is root.
func TestMakeInstallOfNothing(t *testing.T) {
	cmd := exec.Command("make", "install", "DESTDIR="+t.TempDir())
	cmd.Dir = clone(t, "unbuilt")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `install: bin/timensctl is not there: run "make build" first, as an ordinary user`) {
		t.Errorf("%v: %s", err, out)
	}
}

// On the files of a whole machine, with an engine that was set up.
func TestMakeUninstall(t *testing.T) {
	m := machine.New(t, machine.Tool(t, "debian12-1"))
	dir := checkout(t, "uninstall")
	m.Run("mkdir", "/srv/checkout")
	if err := shell(`tar -c -C "$1" bin config deploy docs LICENSE README.md CHANGELOG.md SECURITY.md | tar -x -C "$2"`, dir, m.Path("/srv/checkout")); err != nil {
		t.Fatal(err)
	}
	// Common folders, which are left to whoever else uses them.
	m.Run("mkdir", "-p", "/usr/share/fish/vendor_completions.d", "/usr/share/zsh/site-functions")
	before := m.Snapshot("/etc", "/usr", "/var/lib/oci-timens")
	m.Run("/srv/checkout/deploy/install", "install")
	m.Run("timensctl", "configure", "podman")
	const refusal = "uninstall: nothing removed: an engine is configured to use it"
	if out := m.Fail("/srv/checkout/deploy/install", "uninstall"); !strings.Contains(out, refusal) || !strings.Contains(out, "\n/etc/containers/") {
		t.Errorf("said %q", out)
	}
	m.Run("timensctl", "version")
	m.Run("timensctl", "configure", "podman", "--remove")
	m.Run("/srv/checkout/deploy/install", "uninstall")
	m.Snapshot("/etc", "/usr", "/var/lib/oci-timens").Same(t, before)

	// Whoever insists is let.
	m.Run("/srv/checkout/deploy/install", "install")
	m.Run("timensctl", "configure", "podman")
	m.Run("FORCE=1", "/srv/checkout/deploy/install", "uninstall")
	m.Fail("timensctl", "version")
}
