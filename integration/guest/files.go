package guest

import (
	"os"

	"oci-timens/integration/guest/agent"
	"oci-timens/integration/machine"
)

// Write writes a file of the guest, and the folders above it.
func (g *Guest) Write(path, text string, mode os.FileMode) {
	g.t.Helper()
	if _, err := g.try(agent.Command{File: path, Stdin: []byte(text), Mode: mode}); err != nil {
		g.t.Fatalf("%s: %v", path, err)
	}
}

// Copy copies a file of this machine into the guest.
func (g *Guest) Copy(from, to string, mode os.FileMode) {
	g.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		g.t.Fatal(err)
	}
	g.Write(to, string(text), mode)
}

// Install puts the programs under test where a package puts them.
func (g *Guest) Install() {
	g.t.Helper()
	b := machine.Programs(g.t)
	g.Copy(b.Shim, "/usr/bin/timens-runc", 0o755)
	g.Copy(b.Ctl, "/usr/bin/timensctl", 0o755)
	g.Copy(b.Hook, "/usr/libexec/oci/hooks.d/timens-hook", 0o755)
}

// Send copies files and folders to the same paths of another guest, as scp or a disk
// that is carried over would.
func (g *Guest) Send(to *Guest, paths ...string) {
	g.t.Helper()
	o, err := g.Try(append([]string{"tar", "-C", "/", "-cPf", "-"}, paths...)...)
	if err == nil {
		_, err = to.TryWith([]byte(o.Stdout), "tar", "-C", "/", "-xpPf", "-")
	}
	if err != nil {
		g.t.Fatal(err)
	}
}
