package nri

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/nri/pkg/api"
	"github.com/sirupsen/logrus"
)

// newLog writes one line for each message, for machines ("json") or for people ("text").
func newLog(w io.Writer, level, format string) (*logrus.Logger, error) {
	l := logrus.New()
	l.SetOutput(w)
	v, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("--log-level: unknown log level %q: want error, warning, info or debug", level)
	}
	l.SetLevel(v)
	switch format {
	case "json":
		l.SetFormatter(&logrus.JSONFormatter{})
	case "text":
		l.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	default:
		return nil, fmt.Errorf("--log-format: unknown format %q: want json or text", format)
	}
	return l, nil
}

// entry is for messages on a container, or on its pod.
func (p *Plugin) entry(pod *api.PodSandbox, c *api.Container) *logrus.Entry {
	f := logrus.Fields{"namespace": pod.GetNamespace(), "pod": pod.GetName(), "uid": pod.GetUid(), "sandbox": pod.GetId()}
	if c != nil {
		f["container"] = c.GetName()
	}
	return p.log.WithFields(f)
}

// tell logs why there is no container, and returns the error for the pod's events.
func (p *Plugin) tell(log *logrus.Entry, err error) error {
	text := err.Error()
	const most = 2048 // of what an annotation's author may have made of any length
	if len(text) > most {
		text = text[:most] + "…"
	}
	log.Warn(text)
	return fmt.Errorf("timens-nri: %s", text)
}

// stubLog is for the library that speaks to the engine. It tells at level info what is
// news to its authors.
type stubLog struct{ *logrus.Logger }

func (l stubLog) Debugf(_ context.Context, f string, args ...any) { l.Logger.Tracef(f, args...) }
func (l stubLog) Infof(_ context.Context, f string, args ...any)  { l.Logger.Debugf(f, args...) }
func (l stubLog) Warnf(_ context.Context, f string, args ...any)  { l.Logger.Warnf(f, args...) }
func (l stubLog) Errorf(_ context.Context, f string, args ...any) { l.Logger.Errorf(f, args...) }
