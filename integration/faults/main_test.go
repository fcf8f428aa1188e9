package faults

import (
	"bytes"
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

const (
	// baseEnv names the folder of one run of the tests.
	baseEnv = "TIMENS_FAULTS_BASE"
	// roleEnv is what the test binary is when it is started again.
	roleEnv = "TIMENS_FAULTS_ROLE"
)

var base = os.Getenv(baseEnv)

// cgroupParent is the cgroup below which all containers of one run of the tests live.
var cgroupParent = "/" + filepath.Base(base)

func TestMain(m *testing.M) {
	flag.Parse()
	var code int
	var err error
	switch role := os.Getenv(roleEnv); {
	case role == "first":
		code, err = first()
	case role == "tests":
		code, err = inside(m)
	case role == "runtime":
		err = playRuntime()
	case role == "init":
		err = playInit()
	case os.Geteuid() != 0:
		if os.Getenv("TIMENS_REQUIRE") != "" {
			err = errors.New("these tests must run as root")
		}
		fmt.Println("SKIP: these tests start containers and must run as root")
	default:
		code, err = outside()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "faults: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// again starts this binary in another role.
func again(role string, env ...string) *exec.Cmd {
	return apart.Again(os.Args[1:], append(env, roleEnv+"="+role)...)
}

// outside gives the tests a folder, and namespaces that end with them.
func outside() (code int, err error) {
	dir, err := os.MkdirTemp("", "timens-faults-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	return apart.Run(again("first", baseEnv+"="+dir, "TMPDIR="+dir), 0)
}

// first is process 1: it takes care of orphans, which the tests could not tell from
// processes that they have started.
func first() (code int, err error) {
	if _, err := apart.PrepareMounts(); err != nil {
		return 1, err
	}
	cmd := again("tests")
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	for {
		var ws unix.WaitStatus
		if pid, err := unix.Wait4(-1, &ws, 0, nil); pid == cmd.Process.Pid {
			return ws.ExitStatus() & 0xff, nil
		} else if err != nil && err != unix.EINTR {
			return 1, err
		}
	}
}

func inside(m *testing.M) (code int, err error) {
	startTracers()
	code = machine.Main(m)
	printSummary()
	return code, errors.Join(removeCgroups(), checkNothingLeft())
}

// cgroupsOf lists the cgroups of a name below the tests' own, in every hierarchy.
func cgroupsOf(name string) (list []string) {
	all, err := filepath.Glob("/sys/fs/cgroup/*" + cgroupParent + name) // cgroup v1
	if err != nil {
		panic(err)
	}
	for _, path := range append(all, "/sys/fs/cgroup"+cgroupParent+name) { // and v2
		if _, err := os.Stat(path); err == nil && !strings.HasPrefix(path, apart.Unified) {
			list = append(list, path)
		}
	}
	return list
}

func removeCgroups() (err error) {
	for _, path := range cgroupsOf("") {
		err = errors.Join(err, os.NewSyscallError("rmdir "+path, unix.Rmdir(path)))
	}
	return err
}

// checkNothingLeft looks for what no single test could have seen: processes, mounts, and
// whatever holds a time namespace.
func checkNothingLeft() error {
	var errs []error
	own, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		return err
	}
	for _, pid := range processes() {
		if pid != os.Getpid() && pid != 1 {
			errs = append(errs, fmt.Errorf("process %d is left: %q", pid, procFile(pid, "cmdline")))
		}
	}
	for _, pattern := range []string{"ns/time", "ns/time_for_children", "fd/*"} {
		links, err := filepath.Glob("/proc/[0-9]*/" + pattern)
		errs = append(errs, err)
		for _, link := range links {
			if to, _ := os.Readlink(link); strings.HasPrefix(to, "time:") && to != own {
				errs = append(errs, fmt.Errorf("%s still leads to %s", link, to))
			}
		}
	}
	mounts := procFile(os.Getpid(), "mountinfo")
	if bytes.Contains(mounts, []byte(base)) || bytes.Contains(mounts, []byte("time:[")) {
		errs = append(errs, fmt.Errorf("a mount is left: %s", mounts))
	}
	return errors.Join(errs...)
}
