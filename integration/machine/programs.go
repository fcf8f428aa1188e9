package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Built is where the programs were built.
type Built struct{ Dir, Hook, Shim, Ctl, Probe string }

// module is the folder of the module under test: two above this file, as tests
// run in the folder of their own package.
func module() string {
	_, file, _, _ := runtime.Caller(0)
	if !filepath.IsAbs(file) { // built with -trimpath
		return filepath.Join("..", "..")
	}
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// built is the folder to be removed in the end, if any.
var built string

var build = sync.OnceValues(func() (b Built, err error) {
	dir, err := os.MkdirTemp("", "timens-programs-")
	if err != nil {
		return b, err
	}
	built = dir
	b = Built{
		Dir: dir, Hook: filepath.Join(dir, "timens-hook"), Shim: filepath.Join(dir, "timens-runc"),
		Ctl: filepath.Join(dir, "timensctl"), Probe: filepath.Join(dir, "probe"),
	}
	for _, p := range []struct{ dir, out, pkg string }{
		{"", b.Hook, "./cmd/timens-hook"}, {"", b.Shim, "./cmd/timens-runc"}, {"", b.Ctl, "./cmd/timensctl"},
		{"integration", b.Probe, "./cmd/probe"},
	} {
		if err := compile(p.dir, p.pkg, p.out); err != nil {
			return b, err
		}
	}
	return b, nil
})

// Programs builds the programs under test and the probe, once for all tests of
// a package, which calls [Main].
func Programs(t testing.TB) Built {
	t.Helper()
	b, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// LinkFlags are those that a program is linked with, as in the Makefile.
func LinkFlags(program string) string {
	if program == "timens-hook" || program == "timens-runc" {
		return "-s -w -E=_rt0_" + strings.ReplaceAll(program, "-", "_") // see internal/early
	}
	return "-s -w"
}

// compile makes a static program of a package in a folder of the module under test.
func compile(dir, pkg, out string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", LinkFlags(filepath.Base(pkg))+" -X main.version=test", "-o", out, pkg)
	cmd.Dir = filepath.Join(module(), dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, said)
	}
	return nil
}

var compiling sync.Mutex

// Program builds another program beside those of Programs, once: timens-NAME of the project,
// else one of the tests' own.
func Program(t testing.TB, name string) string {
	t.Helper()
	compiling.Lock()
	defer compiling.Unlock()
	out := filepath.Join(Programs(t).Dir, name)
	if _, err := os.Stat(out); err == nil {
		return out
	}
	dir := "integration"
	if strings.HasPrefix(name, "timens-") {
		dir = ""
	}
	if err := compile(dir, "./cmd/"+name, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Main runs the tests of a package, and removes what they built. It is what
// TestMain passes to os.Exit.
func Main(m *testing.M) int {
	code := m.Run()
	if err := os.RemoveAll(built); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Install puts the programs under test where a package puts them.
func (m *Machine) Install() {
	m.t.Helper()
	b := Programs(m.t)
	m.Copy(b.Shim, "/usr/bin/timens-runc", 0o755)
	m.Copy(b.Ctl, "/usr/bin/timensctl", 0o755)
	m.Copy(b.Hook, "/usr/libexec/oci/hooks.d/timens-hook", 0o755)
}

// Tool is a file that was built or unpacked below .tools, as in "moby-1.2/dockerd".
// A test that misses it ends: see testenv.Lacks.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(module(), ".tools", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		lacks(t, filepath.Base(name), err)
	}
	return path
}
