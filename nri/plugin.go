package nri

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/sirupsen/logrus"

	"oci-timens/config"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/internal/pod"
	"oci-timens/spec"
	"oci-timens/timens"
)

// Plugin handles the events of one engine. It keeps nothing that [Plugin.Synchronize]
// does not give back.
type Plugin struct {
	hook    string                         // timens-hook, where the engine's runtime finds it
	load    func() (*config.Config, error) // for each request: it may change
	log     *logrus.Logger
	metrics *metrics

	synchronized atomic.Bool // with the engine, and connected since
	defaults     atomic.Bool // the last configuration has some
	timeSpace    atomic.Bool // the engine lets a plugin add a time namespace

	mu   sync.Mutex
	pods map[string]bool // that have clocks of their own, by ID
}

// asked is what a container is to get.
type asked struct {
	plan.Plan
	args    []string // for timens-hook
	itself  bool     // its annotations ask, and not the host's configuration alone
	refused bool     // and an error is an answer to what is asked
}

// CreateContainer adds the hooks to a container that is to have clocks. An error keeps
// it from being created, and is told to whoever has asked for the pod.
func (p *Plugin) CreateContainer(_ context.Context, sandbox *api.PodSandbox, c *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	start := time.Now()
	defer urgently()()
	result := resultError
	log := p.entry(sandbox, c)
	defer func() { p.metrics.handled(result, time.Since(start)) }()
	if settled(p.hook, c) {
		result = resultUntouched // by another instance of this plugin
		return nil, nil, nil
	}
	a, err := p.ask(sandbox, c, pod.DecideByID)
	if err != nil {
		if a.refused {
			result = resultRefused
		}
		return nil, nil, p.tell(log, err)
	}
	for _, w := range a.Warnings {
		log.Warn(w)
	}
	if a.Mechanism != plan.Hooks {
		result = resultUntouched
		log.Debug(a.Reason)
		return nil, nil, nil
	}
	result = resultAdjusted
	log.WithField("clocks", a.Offsets.String()).Info("the container gets clocks of its own")
	p.shifted(sandbox.GetId(), true)
	return adjustment(p.hook, a.args, p.timeSpace.Load() && takesTime(c, lowlevel.Known()), a.Save != ""), nil, nil
}

// StartContainer refuses a container that should have got the hooks, and has not: an
// engine goes on without a plugin that was killed while it was asked, or took too long.
func (p *Plugin) StartContainer(_ context.Context, sandbox *api.PodSandbox, c *api.Container) error {
	defer urgently()()
	if settled(p.hook, c) {
		return nil
	}
	a, err := p.ask(sandbox, c, pod.LookByID)
	if err == nil && a.Mechanism != plan.Hooks {
		return nil
	}
	if err == nil {
		err = errors.New("the container was created while timens-nri could not be asked, and would start with other clocks than its pod asks for: create it again")
	}
	p.metrics.missed.Inc()
	return p.tell(p.entry(sandbox, c), err)
}

// StopPodSandbox forgets a pod: a sandbox that has ended does not start again.
func (p *Plugin) StopPodSandbox(_ context.Context, sandbox *api.PodSandbox) error {
	return p.forget(sandbox)
}

// RemovePodSandbox is for the pods that end in another way.
func (p *Plugin) RemovePodSandbox(_ context.Context, sandbox *api.PodSandbox) error {
	return p.forget(sandbox)
}

// forget never keeps a pod from ending.
func (p *Plugin) forget(sandbox *api.PodSandbox) error {
	p.shifted(sandbox.GetId(), false)
	if err := pod.Forget(sandbox.GetId()); err != nil {
		p.entry(sandbox, nil).WithError(err).Error("the record of the pod's clocks cannot be removed")
	}
	return nil
}

// Synchronize is told what there is when the plugin has connected: it forgets all other
// pods, and says which containers it has missed.
func (p *Plugin) Synchronize(_ context.Context, sandboxes []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	known := make(map[string]*api.PodSandbox, len(sandboxes))
	for _, s := range sandboxes {
		known[s.GetId()] = s
	}
	removed, err := pod.Retain(func(id string) bool { return known[id] != nil })
	if err != nil {
		p.log.WithError(err).Error("records of pods that have ended cannot be removed")
	}
	pods, missed := map[string]bool{}, 0
	for _, c := range containers {
		s := known[c.GetPodSandboxId()]
		if s == nil {
			continue
		}
		if settled(p.hook, c) {
			pods[s.GetId()] = true
		} else if a, err := p.ask(s, c, pod.LookByID); a.itself && (err != nil || a.Mechanism == plan.Hooks) {
			missed++
			p.entry(s, c).Warn("the container was created without timens-nri, and has other clocks than its pod asks for: create it again")
		}
	}
	p.mu.Lock()
	p.pods = pods
	p.metrics.pods.Set(float64(len(pods)))
	p.mu.Unlock()
	p.connected(true)
	p.log.WithFields(logrus.Fields{"pods": len(sandboxes), "containers": len(containers), "with-clocks": len(pods), "missed": missed, "forgotten": removed}).
		Info("synchronized with the engine")
	return nil, nil
}

// decider is pod.DecideByID or LookByID.
type decider func(id string, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error)

// ask settles what a container gets.
func (p *Plugin) ask(sandbox *api.PodSandbox, c *api.Container, decide decider) (out asked, err error) {
	defer func() {
		// A mistake of ours: the engine goes on without a plugin that has crashed.
		if r := recover(); r != nil {
			out.refused, err = false, fmt.Errorf("cannot tell what clocks the container gets: %v", r)
		}
	}()
	annotations, notes := annotationsOf(sandbox, c)
	out.refused = true
	request, err := spec.ParseAnnotations(annotations)
	out.itself = err != nil || !request.IsZero()
	if err != nil {
		return out, err
	}
	id, _, err := spec.Pod(annotations)
	if err != nil {
		return out, err
	}
	out.refused = false
	cfg, err := p.load()
	if err != nil {
		if out.itself || !p.wantedNothing() {
			return out, err
		}
		p.log.WithError(err).Error("the configuration cannot be read")
		return out, nil
	}
	p.setDefaults(cfg)
	if plan.Nothing(request, cfg) {
		out.Reason = "no clock is asked for"
		return out, nil
	}
	host, err := timens.ReadHost()
	if err == nil && request.Resumes() {
		host, err = host.WithWall()
	}
	if err != nil {
		return out, fmt.Errorf("the clocks of this host: %w", err)
	}
	if err := p.resolve(&request, cfg, host); err != nil {
		out.refused = true
		return out, err
	}
	a := plan.Ask{Request: request, Annotations: annotations, Config: cfg, Host: host}
	b := plan.Bundle{HookPath: p.hook, Time: timeOf(c), Kernel: plan.Kernel{TimeNamespaces: timens.HaveTimeNamespaces()}}
	out.Plan, err = decide(id, a, func(a plan.Ask) (plan.Plan, error) {
		settled, args, err := plan.Settle(a, b)
		out.args, out.refused = args, err != nil
		return settled, err
	})
	out.Warnings = slices.Concat(notes, request.Notes, out.Warnings)
	return out, err
}

func (p *Plugin) connected(is bool) {
	p.synchronized.Store(is)
	v := 0.
	if is {
		v = 1
	}
	p.metrics.connected.Set(v)
}

// shifted notes whether a pod has clocks of its own.
func (p *Plugin) shifted(id string, has bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if has {
		p.pods[id] = true
	} else {
		delete(p.pods, id)
	}
	p.metrics.pods.Set(float64(len(p.pods)))
}
