package integration

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/integration/apart"
	"oci-timens/integration/machine"
)

// baseEnv names the folder of one run of the tests. It is set for the second
// start of the test binary, inside its own namespaces.
const baseEnv = "TIMENS_TEST_BASE"

// base is that folder. It holds bin/ and a folder for each container.
var base = os.Getenv(baseEnv)

// builtEnv names a folder that has what build makes, for machines without Go.
const builtEnv = "TIMENS_TEST_BUILT"

func TestMain(m *testing.M) {
	flag.Parse()
	var code int
	var err error
	switch {
	case os.Geteuid() != 0 && os.Getenv(requireEnv) == "":
		fmt.Println("SKIP: integration tests start containers and must run as root")
	case os.Geteuid() != 0:
		err = errors.New("integration tests must run as root")
	case base == "":
		code, err = outside()
	default:
		code, err = inside(m)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "integration: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// outside builds what the tests run and starts them in new namespaces.
func outside() (code int, err error) {
	dir, err := os.MkdirTemp("", "timens-it-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Containers with users of their own look for their files here.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	bin := filepath.Join(dir, "bin")
	if built := os.Getenv(builtEnv); built != "" {
		err = os.CopyFS(bin, os.DirFS(built))
	} else {
		err = build(bin)
	}
	if err != nil {
		return 1, err
	}
	return apart.Run(apart.Again(os.Args[1:], baseEnv+"="+dir), 0)
}

// build compiles the programs under test and the tests' own into dir.
func build(dir string) error {
	for _, b := range []struct {
		name, module, pkg string
		args, env         []string
	}{
		{name: "probe", pkg: "./cmd/probe", env: []string{"CGO_ENABLED=0"}},
		{name: "embedded", pkg: "./cmd/embedded"},
		{name: "timens-hook", module: "..", pkg: "./cmd/timens-hook", env: []string{"CGO_ENABLED=0"}},
		{name: "timens-runc", module: "..", pkg: "./cmd/timens-runc", env: []string{"CGO_ENABLED=0"}},
		{name: "timensctl", module: "..", pkg: "./cmd/timensctl", env: []string{"CGO_ENABLED=0"}},
		{name: "timens-hook-kill", module: "..", pkg: "./cmd/timens-hook", args: []string{"-tags", "timens_testpoints"}, env: []string{"CGO_ENABLED=0"}},
	} {
		args := append([]string{"build", "-trimpath", "-ldflags", machine.LinkFlags(b.name)}, b.args...)
		cmd := exec.Command("go", append(args, "-o", filepath.Join(dir, b.name), b.pkg)...)
		cmd.Dir = b.module
		cmd.Env = append(os.Environ(), b.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", b.name, err, out)
		}
	}
	return nil
}

// inside runs the tests as the first process of their own PID namespace.
func inside(m *testing.M) (code int, err error) {
	if _, err := apart.PrepareMounts(); err != nil {
		return 1, err
	}
	if err := prepareUsers(); err != nil {
		return 1, err
	}
	code = m.Run()
	printMatrix()
	return code, errors.Join(removeCgroups(), checkNothingLeft())
}

// checkNothingLeft looks for what no single test could have seen.
func checkNothingLeft() error {
	var errs []error
	for { // what has ended and was given to us
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.EINTR && pid <= 0 {
			break
		}
	}
	for _, pid := range processes() {
		if pid != os.Getpid() {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // gone is fine too
			errs = append(errs, fmt.Errorf("process %d is left: %q", pid, line))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, base) && !strings.Contains(line, usersDir) {
			errs = append(errs, fmt.Errorf("mount is left: %s", line))
		}
	}
	return errors.Join(errs...)
}
