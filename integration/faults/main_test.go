package faults

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

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
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
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
	cmd := again("first", baseEnv+"="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // whose end Pdeathsig goes by
	defer runtime.UnlockOSThread()
	return exitOf(cmd.Run())
}

func exitOf(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// first is process 1: it takes care of orphans, which the tests could not tell from
// processes that they have started.
func first() (code int, err error) {
	if err := prepareMounts(); err != nil {
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

// unified is where cgroup2 is mounted beside cgroup v1 ("hybrid mode"), which crun
// refuses.
const unified = "/sys/fs/cgroup/unified"

// prepareMounts makes every mount from here on private to the tests.
func prepareMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("hiding /run: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(unified, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil //nolint:nilerr // no such mount: nothing to hide
	}
	return os.NewSyscallError("hiding "+unified, unix.Mount("tmpfs", unified, "tmpfs", 0, ""))
}

// cgroupsOf lists the cgroups of a name below the tests' own, in every hierarchy.
func cgroupsOf(name string) (list []string) {
	all, err := filepath.Glob("/sys/fs/cgroup/*" + cgroupParent + name) // cgroup v1
	if err != nil {
		panic(err)
	}
	for _, path := range append(all, "/sys/fs/cgroup"+cgroupParent+name) { // and v2
		if _, err := os.Stat(path); err == nil && !strings.HasPrefix(path, unified) {
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
