// Package logging makes the logger that the configuration asks for.
//
// Only programs and the packages hook and shim log. What keeps a container from
// starting goes to the engine as well, on a path of its own that does not depend
// on this one.
package logging

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/sirupsen/logrus"

	"oci-timens/config"
)

// New returns a logger for the log file and level of cfg, and what closes the
// file. Without a log file it discards everything: the standard error of a hook
// or of a runc shim is the engine's, and holds nothing but the one line that
// says why a container does not start.
func New(cfg *config.Config) (*logrus.Logger, io.Closer, error) {
	l := logrus.New()
	l.SetOutput(io.Discard)
	level, err := logrus.ParseLevel(cfg.LogLevel)
	if err != nil {
		return nil, nil, fmt.Errorf("log level: %w", err)
	}
	l.SetLevel(level)
	if cfg.LogFile == "" {
		return l, io.NopCloser(nil), nil
	}
	// O_NOFOLLOW: root must not append to what a link in a shared directory
	// points to. O_NONBLOCK: a FIFO without a reader must not stop a container.
	f, err := os.OpenFile(cfg.LogFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, nil, fmt.Errorf("log file of the configuration: %w", err)
	}
	l.SetOutput(f)
	l.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	return l, f, nil
}
