package criu

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"oci-timens/timens"
)

// configVariable names a file of options that CRIU reads whenever it is started, also by
// a runtime, which has no option to name a time namespace (criu/config.c, next_config, and
// Documentation/criu.txt, CONFIGURATION FILES, of CRIU 3.11 to 4.2).
const configVariable = "CRIU_CONFIG_FILE"

// lowestFD is above those that an engine passes to a runtime by number.
const lowestFD = 64

// Join returns env so that CRIU, started by what this process is about to become, puts a
// container that it restores into ns. Both the namespace and what CRIU is told are open
// files without a name: nothing is left of them when the runtime has ended. CRIU closes
// what it has not dumped, so that the container does not inherit them.
func Join(ns *timens.Namespace, env []string) ([]string, error) {
	held, err := inheritable(int(ns.File().Fd()))
	if err != nil {
		return nil, err
	}
	options, env, err := split(env)
	if err != nil {
		return nil, err
	}
	// By PID, as "self" would be CRIU.
	options = fmt.Appendf(options, "join-ns time:/proc/%d/fd/%d\n", os.Getpid(), held)
	file, err := unix.MemfdCreate("oci-timens", 0)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	defer unix.Close(file)
	if _, err := unix.Write(file, options); err != nil {
		return nil, os.NewSyscallError("write", err)
	}
	if file, err = inheritable(file); err != nil {
		return nil, err
	}
	return append(env, fmt.Sprintf("%s=/proc/%d/fd/%d", configVariable, os.Getpid(), file)), nil
}

// inheritable returns a copy of a descriptor that an exec does not close.
func inheritable(fd int) (int, error) {
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, lowestFD)
	return fd, os.NewSyscallError("fcntl(F_DUPFD)", err)
}

// maxOptions is more than there are options.
const maxOptions = 1 << 20

func readOptions(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxOptions+1))
	if err == nil && len(text) > maxOptions {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxOptions)
	}
	return text, err
}

// split takes the options for CRIU that the environment names already out of it.
func split(env []string) (options []byte, rest []string, err error) {
	for _, v := range env {
		path, found := strings.CutPrefix(v, configVariable+"=")
		if !found {
			rest = append(rest, v)
			continue
		}
		options, err = readOptions(path)
		if os.IsNotExist(err) { // CRIU goes on without
			options, err = nil, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s in the environment: %w", configVariable, err)
		}
		if n := len(options); n > 0 && options[n-1] != '\n' {
			options = append(options, '\n')
		}
	}
	return options, rest, nil
}
