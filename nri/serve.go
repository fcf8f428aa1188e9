package nri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
	"golang.org/x/mod/semver"
)

// link is how the plugin is registered with an engine.
type link struct {
	socket, name, index string
	timeSpace           bool // that may be added
}

const (
	// configureLimit is for an engine that has taken the registration, and then says no
	// more. The stub would wait for ever (nri 0.12.3, stub.Start).
	configureLimit = 20 * time.Second
	firstPause     = 50 * time.Millisecond
	longestPause   = time.Second
)

// session is one connection to an engine. Its handlers are the plugin's, and Configure.
type session struct {
	*Plugin
	link       link
	stub       stub.Stub
	configured chan struct{}
}

// Configure is told who the engine is, and asked for what it should tell.
func (s *session) Configure(_ context.Context, _, engine, version string) (api.EventMask, error) {
	nri := s.stub.RuntimeNRIVersion()
	time := s.link.timeSpace && mayAddTime(nri)
	s.timeSpace.Store(time)
	s.log.WithField("engine", engine).WithField("version", version).WithField("nri", nri).
		WithField("time-namespace", time).Info("registered with the engine")
	close(s.configured)
	return 0, nil
}

// mayAddTime tells whether an engine takes a time namespace from a plugin: from NRI 0.12.2
// on, which containerd has had since 2.4, and CRI-O since 1.35.6. Before, the type is
// unknown to it.
func mayAddTime(nri string) bool {
	return semver.IsValid(nri) && semver.Compare(nri, "v0.12.2") >= 0
}

// serve handles events until ctx ends, over as many connections as it takes.
func (p *Plugin) serve(ctx context.Context, l link) error {
	pause, told := firstPause, ""
	for {
		start := time.Now()
		err := p.session(ctx, l)
		p.connected(false)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("the engine has closed the connection")
		}
		// An engine that has started this program has handed it the one connection.
		if os.Getenv(api.PluginSocketEnvVar) != "" || errors.Is(err, errSilent) {
			return err
		}
		if time.Since(start) > longestPause {
			pause = firstPause
		}
		if err.Error() != told {
			p.log.WithError(err).Warn("not connected to the engine: trying on")
			told = err.Error()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

var errSilent = fmt.Errorf("the engine has said nothing for %v since this plugin has registered", configureLimit)

func (p *Plugin) session(ctx context.Context, l link) (err error) {
	s := &session{Plugin: p, link: l, configured: make(chan struct{})}
	s.stub, err = stub.New(s, stub.WithPluginName(l.name), stub.WithPluginIdx(l.index), stub.WithSocketPath(l.socket),
		stub.WithLogger(stubLog{p.log}), stub.WithOnClose(func() {}))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.stub.Run(ctx) }()
	select {
	case err = <-ended:
		return err
	case <-s.configured:
		return <-ended
	case <-time.After(configureLimit):
		return errSilent
	}
}
