package shim

import (
	"os"
	"path/filepath"

	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/timens"
)

// facts is what the shim has to know of the host.
type facts interface {
	identify(path string) (lowlevel.Runtime, error)
	// kernel leaves out, as yes, what does not matter to the runtime: on old
	// kernels the answer takes a process.
	kernel(r plan.Runtime) plan.Kernel
	clocks() (timens.Host, error)
	hook() string // path of timens-hook, or ""
}

// host is the machine that this runs on.
type host struct{}

func (host) identify(path string) (lowlevel.Runtime, error) { return lowlevel.Identify(path) }

func (host) kernel(r plan.Runtime) plan.Kernel {
	k := plan.Kernel{TimeNamespaces: timens.HaveTimeNamespaces()}
	if k.TimeNamespaces == nil && !r.Native() {
		k.ExecSwitch = timens.HaveExecSwitch()
	}
	return k
}

func (host) clocks() (timens.Host, error) { return timens.ReadHost() }

func (host) hook() string {
	dirs := []string{"/usr/libexec/oci/hooks.d", "/usr/local/libexec/oci/hooks.d", "/usr/bin", "/usr/local/bin"}
	if self, err := os.Executable(); err == nil {
		dirs = append([]string{filepath.Dir(self)}, dirs...)
	}
	return findHook(dirs)
}

// findHook returns the first timens-hook that can be run.
func findHook(dirs []string) string {
	for _, dir := range dirs {
		p := filepath.Join(dir, "timens-hook")
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return p
		}
	}
	return ""
}
