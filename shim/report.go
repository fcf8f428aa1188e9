package shim

import (
	"fmt"
	"os"
	"strings"

	"github.com/sirupsen/logrus"

	"oci-timens/internal/logging"
	"oci-timens/internal/plan"
)

// fail reports why the runtime was not started: one line on the standard error,
// a line in the file that the engine named by --log, from where containerd
// takes the message that it shows, and one in our own log.
func (s *shim) fail(err error) {
	msg := oneLine(err.Error())
	note := ""
	if e := s.engineLog(logrus.ErrorLevel, msg); e != nil {
		note = fmt.Sprintf(" (and the log cannot be written: %v)", e)
	}
	fmt.Fprintf(s.stderr, "timens-runc: %s%s\n", msg, note)
	_ = s.ownLog(func(l *logrus.Entry) { l.Error(msg) })
}

// note logs what was done, and warnings to the engine as well. The container
// starts, whatever becomes of the logs.
func (s *shim) note(warnings []string, p plan.Plan) {
	err := s.ownLog(func(l *logrus.Entry) {
		for _, w := range warnings {
			l.Warn(oneLine(w))
		}
		l.WithField("offsets", p.Offsets.String()).Infof("%v: %s", p.Mechanism, p.Reason)
	})
	if err != nil {
		warnings = append(warnings, err.Error())
	}
	for _, w := range warnings {
		_ = s.engineLog(logrus.WarnLevel, oneLine(w))
	}
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

// engineLog appends a message to the file named by --log, in the form of
// --log-format, as runc does (main.go, configLogrus).
func (s *shim) engineLog(level logrus.Level, msg string) error {
	path := s.inv.log
	switch {
	case path == "", strings.HasPrefix(path, "journald:"), strings.HasPrefix(path, "syslog:"):
		return nil // crun's forms; there is the standard error
	case strings.HasPrefix(path, "file:"):
		path = strings.TrimPrefix(path, "file:")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	l := logrus.New()
	l.SetOutput(f)
	l.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	if s.inv.logFormat == "json" {
		l.SetFormatter(&logrus.JSONFormatter{})
	}
	l.Log(level, msg)
	return f.Close()
}

// ownLog calls f with the log that the configuration asks for, if there is one.
func (s *shim) ownLog(f func(*logrus.Entry)) error {
	if s.cfg == nil || s.cfg.LogFile == "" {
		return nil
	}
	l, closer, err := logging.New(s.cfg)
	if err != nil {
		return err
	}
	f(l.WithField("container", s.inv.id))
	return closer.Close()
}
