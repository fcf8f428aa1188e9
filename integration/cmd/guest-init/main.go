// Command guest-init is the first process of a guest, see package guest: it makes the
// guest what its tests expect, and has the agent serve them.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"oci-timens/integration/guest/agent"
)

func main() {
	runtime.LockOSThread()
	err := prepare()
	if err == nil {
		err = serve()
	}
	fmt.Fprintf(os.Stderr, "guest-init: %v\n", err)
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) //nolint:errcheck // the kernel panics then
}

func prepare() error {
	if os.Getenv(agentEnv) != "" {
		return nil
	}
	if err := unix.Mount("devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return fmt.Errorf("mounting /dev: %w", err)
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := enterRoot(); err != nil {
		return err
	}
	return mounts()
}

// agentEnv is set for the agent.
const agentEnv = "GUEST_AGENT"

// serve starts the agent, as the first process is what has to wait for all processes that
// lose their parents, and ends with it.
func serve() error {
	if os.Getenv(agentEnv) != "" {
		// Opened once: what was sent is lost when it is closed.
		port, err := os.OpenFile("/dev/vport0p1", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return agent.Serve(port)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{agentEnv + "=1", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if pid == cmd.Process.Pid || err == unix.ECHILD {
			return fmt.Errorf("the agent has ended")
		}
	}
}

// loadModules loads what the initial root has brought, in the order of its names.
func loadModules() error {
	names, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
			return fmt.Errorf("loading %s: %w", name, err)
		}
		f.Close()
	}
	return nil
}
