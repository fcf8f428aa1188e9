// Command notimens runs a command, and what that starts, as if the kernel had been built
// without CONFIG_TIME_NS: no kernel of Debian since Linux 5.6 is. A seccomp filter
// answers for the kernel:
//
//   - unshare(2) and setns(2) with CLONE_NEWTIME are EINVAL, as copy_time_ns in
//     include/linux/time_namespace.h and check_setns_flags in kernel/nsproxy.c say then;
//   - /proc/PID/ns/time, time_for_children and /proc/PID/timens_offsets are not there
//     (fs/proc/namespaces.c, fs/proc/base.c), of whatever is opened or looked at by calls
//     whose names end in "at": those of Go programs.
//
// With -old, pidfds are not there as well: they came with Linux 5.1 to 5.3.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// filteredEnv is set for the second start of this program, which becomes the command. It
// finds the socket for the filter's listener as file 3.
const filteredEnv = "NOTIMENS"

func main() {
	old := flag.Bool("old", false, "no pidfds as well")
	flag.Parse()
	code, err := 1, errors.New("usage: notimens [-old] COMMAND [ARG]")
	switch {
	case flag.NArg() == 0:
	case os.Getenv(filteredEnv) != "":
		err = become(flag.Args(), *old)
	default:
		code, err = supervise()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "notimens:", err)
	}
	os.Exit(code)
}

// become puts the filter on this thread, sends its listener away and runs the command.
func become(args []string, old bool) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	listener, err := install(filter(old))
	if err != nil {
		return fmt.Errorf("installing the filter: %w", err)
	}
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return fmt.Errorf("sending the listener: %w", err)
	}
	if err := errors.Join(unix.Close(listener), unix.Close(3), os.Unsetenv(filteredEnv)); err != nil {
		return err
	}
	return unix.Exec(path, args, os.Environ())
}

// supervise starts the command and answers for the kernel until it ends.
func supervise() (code int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 1, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), filteredEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	theirs.Close()
	control := make([]byte, unix.CmsgSpace(4))
	if _, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), control, 0); err == nil && n > 0 {
		messages, err := unix.ParseSocketControlMessage(control[:n])
		if err != nil {
			return 1, err
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			return 1, err
		}
		go answer(fds[0])
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// hidden tells whether a path is one of what a kernel without time namespaces has not.
func hidden(path string) bool {
	for _, name := range []string{"ns/time", "ns/time_for_children", "timens_offsets"} {
		if path == name || strings.HasSuffix(path, "/"+name) {
			return true
		}
	}
	return false
}

// pathOf reads the path that a call was given, "" where that cannot be done.
func pathOf(pid uint32, at uint64) string {
	mem, err := os.Open("/proc/" + strconv.Itoa(int(pid)) + "/mem")
	if err != nil {
		return ""
	}
	defer mem.Close()
	buf := make([]byte, 256) // longer than any of interest
	n, _ := mem.ReadAt(buf, int64(at))
	path, _, ended := strings.Cut(string(buf[:n]), "\x00")
	if !ended {
		return ""
	}
	return path
}
