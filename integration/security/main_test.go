package security

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/integration/apart"
	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

// insideEnv is set for the second start of the test binary, in mounts of its own.
const insideEnv = "TIMENS_TEST_INSIDE"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(measureEnv) != "":
		os.Exit(measure(os.Args[1:]))
	case os.Geteuid() != 0:
		os.Exit(m.Run()) // each test says what it lacks
	case os.Getenv(insideEnv) == "":
		os.Exit(outside())
	}
	if err := hideRun(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(machine.Main(m))
}

// outside starts the tests where the machine's /run is not seen, in which the programs
// keep what they know of runtimes.
func outside() int {
	cmd := apart.Again(os.Args[1:], insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

func hideRun() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("hiding /run: %w", err)
	}
	return nil
}

// measureEnv names a file that gets how much memory the program took, in KiB, that this
// one is started for. What is waited for by a process is taken to have had at least as
// much as that itself has: it begins as its copy.
const measureEnv = "TIMENS_TEST_MEASURE"

func measure(args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	took := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if err := os.WriteFile(os.Getenv(measureEnv), fmt.Append(nil, took), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	return cmd.ProcessState.ExitCode()
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		testenv.Lacks(t, "root", "/run is hidden from the tests, and files have other owners")
	}
}
