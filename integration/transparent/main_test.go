package transparent

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/integration/apart"
	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

// baseEnv names the folder of one run of the tests, for the second start of the test
// binary, inside its own namespaces.
const baseEnv = "TIMENS_TRANSPARENT_BASE"

// base holds bin/ and, as everything is run one after the other, one world at a time.
var base = os.Getenv(baseEnv)

func TestMain(m *testing.M) {
	flag.Parse()
	// What is started begins as from a terminal, also where "nohup" or a shell's "&" has had
	// these ignored: a runtime that is told of signals takes that back at some moment,
	// and what its containers inherit is then a matter of chance.
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	var code int
	var err error
	switch {
	case os.Geteuid() != 0 && os.Getenv("TIMENS_REQUIRE") == "":
		fmt.Println("SKIP: these tests start containers and must run as root")
	case os.Geteuid() != 0:
		err = errors.New("these tests must run as root")
	case base == "":
		code, err = outside()
	default:
		code, err = inside(m)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "transparent: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// outside builds what the tests run and starts them as process 1 of their own world.
func outside() (code int, err error) {
	dir, err := os.MkdirTemp("", "timens-transparent-")
	if err != nil {
		return 1, err
	}
	cgroupParent = cgroupOf(dir)
	defer func() { err = errors.Join(err, removeCgroups(), os.RemoveAll(dir)) }() // where it was ended half way
	reports := filepath.Join(dir, "reports")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(reports, 0o777), os.Chmod(reports, 0o777), build(filepath.Join(dir, "bin"))); err != nil {
		return 1, err
	}
	return apart.Run(apart.Again(os.Args[1:], baseEnv+"="+dir), unix.CLONE_NEWIPC)
}

func build(bin string) error {
	if err := os.MkdirAll(filepath.Join(bin, "observer"), 0o755); err != nil {
		return err
	}
	sources, err := filepath.Glob("tell/*.c")
	if err != nil {
		return err
	}
	cc := append([]string{"cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", filepath.Join(bin, "tell")}, sources...)
	for _, b := range []struct {
		dir  string
		args []string
	}{
		{".", cc},
		{"..", []string{"go", "build", "-trimpath", "-o", filepath.Join(bin, "probe"), "./cmd/probe"}},
		{"../..", []string{"go", "build", "-trimpath", "-ldflags", machine.LinkFlags("timens-hook"), "-o", bin, "./cmd/timens-hook"}},
		{"../..", []string{"go", "build", "-trimpath", "-ldflags", machine.LinkFlags("timens-runc"), "-o", bin, "./cmd/timens-runc"}},
	} {
		cmd := exec.Command(b.args[0], b.args[1:]...)
		cmd.Dir, cmd.Env = b.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(b.args, " "), err, out)
		}
	}
	return os.Link(filepath.Join(bin, "tell"), filepath.Join(bin, "observer/runc"))
}

// inside runs the tests as the first process of their own PID namespace.
func inside(m *testing.M) (code int, err error) {
	if os.Getpid() != 1 {
		return 1, errors.New(baseEnv + " is set outside of the tests' own namespaces")
	}
	if hidden, err = apart.PrepareMounts(); err != nil {
		return 1, err
	}
	// So that no process has a number that something else may have.
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte("20000"), 0); err != nil {
		return 1, fmt.Errorf("starting at high PIDs: %w", err)
	}
	code = m.Run()
	endAll()
	return code, removeCgroups()
}

var hidden bool // whether cgroup2 is an empty folder

// lowLevel is a low-level runtime.
type lowLevel struct{ name, path, version string }

var (
	runc = lowLevel{"runc-1.5.2", tool("runc-1.5.2"), "runc version 1.5.2"}
	old  = lowLevel{"runc-1.1.5", "/usr/sbin/runc", "runc version 1.1.5"}
	crun = lowLevel{"crun-1.8.1", "/usr/bin/crun", "crun version 1.8.1"}
)

func tool(name string) string {
	path, err := filepath.Abs("../../.tools/" + name)
	if err != nil {
		panic(err)
	}
	if to, err := filepath.EvalSymlinks(path); err == nil { // as /proc/PID/exe has it
		return to
	}
	return path
}

// need skips the test where the runtime is not there.
func (r lowLevel) need(t *testing.T) {
	t.Helper()
	out, err := exec.Command(r.path, "--version").Output()
	if first, _, _ := strings.Cut(string(out), "\n"); err != nil || !strings.HasPrefix(first, r.version) {
		testenv.Lacks(t, r.name, fmt.Sprintf("%s --version: %q, %v, want %q (make test installs it)", r.path, first, err, r.version))
	}
	if _, err := os.Stat("/proc/self/ns/time"); err != nil {
		testenv.Lacks(t, "timens", err)
	}
}
