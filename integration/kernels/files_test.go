package kernels

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

// temp is where the files of all guests are built.
var temp string

// built holds, for each architecture, the folder with its files.
var built sync.Map

// compilers are for what has to be built with C for another architecture.
var compilers = map[string]string{"arm64": "aarch64-linux-gnu-gcc", "amd64": "x86_64-linux-gnu-gcc"}

// files is a folder with the tests of integration and timens, what the first needs, and
// runc, for an architecture. It is made once.
func files(t *testing.T, arch string) string {
	t.Helper()
	runc := "runc-1.5.2"
	if arch != runtime.GOARCH {
		runc += "-" + arch
		if _, err := exec.LookPath(compilers[arch]); err != nil {
			testenv.Lacks(t, "a C compiler for "+arch, err)
		}
	}
	runc = machine.Tool(t, runc)
	made, _ := built.LoadOrStore(arch, sync.OnceValues(func() (string, error) { return makeFiles(arch, runc) }))
	dir, err := made.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func makeFiles(arch, runc string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(temp, arch))
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	for _, b := range []struct {
		in, out, cgo string
		args         []string
	}{
		{".", "timens.test", "0", []string{"test", "-c", "./timens"}},
		{"integration", "integration.test", "0", []string{"test", "-c", "."}},
		{"integration", "built/embedded", "1", []string{"build", "./cmd/embedded"}},
		{"integration", "built/probe", "0", []string{"build", "./cmd/probe"}},
		{".", "built/timens-hook", "0", []string{"build", "./cmd/timens-hook"}},
		{".", "built/timens-hook-kill", "0", []string{"build", "-tags", "timens_testpoints", "./cmd/timens-hook"}},
		{".", "built/timens-runc", "0", []string{"build", "./cmd/timens-runc"}},
		{".", "built/timensctl", "0", []string{"build", "./cmd/timensctl"}},
	} {
		last := len(b.args) - 1
		args := append(b.args[:last:last], "-trimpath", "-ldflags", machine.LinkFlags(filepath.Base(b.out)), "-o", filepath.Join(dir, b.out), b.args[last])
		cmd := exec.Command("go", args...)
		cmd.Dir = filepath.Join("..", "..", b.in)
		cmd.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED="+b.cgo)
		if arch != runtime.GOARCH {
			cmd.Env = append(cmd.Env, "CC="+compilers[arch])
		}
		if said, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s for %s: %w\n%s", b.out, arch, err, said)
		}
	}
	text, err := os.ReadFile(runc)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "runc"), text, 0o755)
	}
	return dir, err
}
