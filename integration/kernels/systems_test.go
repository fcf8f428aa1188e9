package kernels

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"oci-timens/integration/guest"
	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

// system is a kernel with the files of a Debian.
type system struct {
	name     string // of the kernel in the table
	arch     string
	kernel   string // a folder below .tools, "" for the kernel of the tree
	tree     string // another one
	version  string // what the release of the kernel must begin with
	cgroups  []int
	runtimes []lowLevel // one that sets offsets by itself, one that does not, and crun
}

// lowLevel is a low-level runtime in a guest.
type lowLevel struct{ name, version, path string }

var (
	builtRunc = lowLevel{"runc", "1.5.2", "/files/runc"}
	debian12  = []lowLevel{builtRunc, {"runc", "1.1.5", "/usr/sbin/runc"}, {"crun", "1.8.1", "/usr/bin/crun"}}
	debian13  = []lowLevel{builtRunc, {"runc", "1.1.15", "/usr/sbin/runc"}, {"crun", "1.21", "/usr/bin/crun"}}
	both      = []int{1, 2}
)

// systems are what the README says is supported: the last series before Linux 6.2 and the
// first ones of Debian after it, from the oldest to the newest.
var systems = []system{
	{"5.10", "amd64", "kernel-5.10-1", "guest12-1", "5.10.", both, debian12},
	{"6.1", "amd64", "", "guest12-1", "6.1.", both, debian12},
	{"6.12", "amd64", "", "guest13-1", "6.12.", both, debian13},
	{"newest", "amd64", "kernel-newest-1", "guest13-1", "", both, debian13},
	{"6.12", "arm64", "kernel-6.12-arm64-1", "guest13-arm64-1", "6.12.", both, debian13},
}

// start starts it, with the programs and tests of its architecture as /files.
func (s system) start(t *testing.T, cgroups int) *guest.Guest {
	t.Helper()
	if s.arch == "amd64" && runtime.GOARCH != "amd64" {
		testenv.Lacks(t, "trees for amd64", "they are made for this machine, which is another one")
	}
	c := guest.Config{Arch: s.arch, Tree: machine.Tool(t, s.tree), Files: files(t, s.arch), Cgroups: cgroups, Memory: 1536}
	if s.kernel != "" {
		c.Kernel = guest.KernelOf(t, machine.Tool(t, s.kernel))
	}
	g := guest.New(t, c)
	if release := g.Run("uname", "-r"); !strings.HasPrefix(release, s.version) {
		testenv.Lacks(t, "Linux "+s.version, release)
	}
	// Nothing has set up a tree that was unpacked only.
	g.Run("sh", "-c", "grep -qs ^root: /etc/passwd || echo root:x:0:0:root:/root:/bin/sh >/etc/passwd; "+
		"command -v awk >/dev/null || ln -s mawk /usr/bin/awk")
	for _, l := range s.runtimes {
		if said := g.Run(l.path, "--version"); !strings.HasPrefix(said, l.name+" version "+l.version) {
			testenv.Lacks(t, l.name+" "+l.version, fmt.Sprintf("%s in %s says %q", l.path, s.tree, said))
		}
	}
	return g
}
