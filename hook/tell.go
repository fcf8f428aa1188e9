package hook

import (
	"os"
	"path/filepath"
	"strings"

	"oci-timens/timens"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// tell says why a stage failed where the user of an engine looks, when whoever
// started us throws away what a hook writes to its standard error: podman 4.3 to 5.4
// at precreate (RuntimeConfigFilterWithOptions gives Run no stderr), crun at all
// stages. Nothing here may fail what has failed already.
//
// podman shows the one message in the log that it names to crun, and crun's own is
// "error executing hook". With one more there, it shows what crun wrote to its
// standard error, and the messages of the log (readConmonPipeData, libpod/oci_conmon_common.go).
func tell(stage, id, line string) {
	var st unix.Stat_t
	if unix.Fstat(unix.Stderr, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return
	}
	if stage != "precreate" {
		if runtime, err := findRuntime(id); err == nil && runtime != nil {
			tellLog(runtime, line)
		}
	}
	tellParent("timens-hook: " + line + "\n")
}

// tellLog adds to the log of the runtime that runs us.
func tellLog(runtime *timens.Ancestor, line string) {
	argv, err := runtime.Argv()
	if err != nil {
		return
	}
	path, _ := runtimeOption(argv, "log")
	path = strings.TrimPrefix(path, "file:") // of crun's forms, the one that is a file
	if !filepath.IsAbs(path) {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	l := logrus.New()
	l.SetOutput(f)
	if format, _ := runtimeOption(argv, "log-format"); format == "json" {
		l.SetFormatter(&logrus.JSONFormatter{})
	} else {
		l.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	}
	l.Error(line)
}

// tellParent writes a line to the standard error of the process that started us. The
// line is lost where this is not allowed, or nobody reads.
func tellParent(line string) {
	pidfd, err := unix.PidfdOpen(os.Getppid(), 0)
	if err != nil {
		return
	}
	defer unix.Close(pidfd)
	// Its open file, not a second opening of it, which would write over its beginning.
	fd, err := unix.PidfdGetfd(pidfd, unix.Stderr, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	const patience = 1000 // ms
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, patience); n == 1 && err == nil {
		_, _ = unix.Write(fd, []byte(line))
	}
}
