package ctl

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"oci-timens/config"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/spec"
	"oci-timens/timens"
)

func explainCommand() *cli.Command {
	return &cli.Command{
		Name:        "explain",
		Usage:       "say what the shim would do with a bundle, and why; changes nothing",
		ArgsUsage:   "BUNDLE",
		Description: "BUNDLE is a directory with a config.json. Exit status 1 when the container would be refused.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "runtime", Usage: "low-level runtime at `PATH`, instead of the configured one"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			dir, err := oneArgument(c, "a bundle")
			if err != nil {
				return err
			}
			e, err := explain(dir, c.String("runtime"))
			if err != nil {
				return err
			}
			out, _ := outs(c)
			e.write(out)
			if e.refusal != nil {
				return exitStatus(1)
			}
			return nil
		},
	}
}

// explanation is what explain prints.
type explanation struct {
	bundle   string
	runtime  lowlevel.Runtime
	request  spec.Request
	defaults config.Defaults
	plan     plan.Plan
	refusal  error
	changes  []change
}

// situation is what a decision depends on besides the bundle.
type situation struct {
	config *config.Config
	host   timens.Host
	kernel plan.Kernel
	hook   string
}

func explain(dir, runtimePath string) (*explanation, error) {
	cfg, err := config.Load()
	if err != nil {
		return nil, err
	}
	runtime, err := findRuntime(cfg, runtimePath)
	if err != nil {
		return nil, err
	}
	host, err := timens.ReadHost()
	if err != nil {
		return nil, err
	}
	f, doc, err := spec.OpenFile(dir, "config.json")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	e := &explanation{bundle: dir, runtime: runtime, defaults: cfg.Defaults}
	return e, e.decide(doc, situation{
		config: cfg, host: host, hook: companion("timens-hook"),
		kernel: plan.Kernel{TimeNamespaces: timens.HaveTimeNamespaces(), ExecSwitch: timens.HaveExecSwitch()},
	})
}

// decide asks what the shim asks. A refusal is a result, not an error.
func (e *explanation) decide(doc *spec.Document, s situation) error {
	annotations, err := doc.Annotations()
	if err != nil {
		return err
	}
	if e.request, e.refusal = spec.ParseAnnotations(annotations); e.refusal != nil {
		return nil
	}
	bundle := plan.Bundle{
		Runtime:  plan.Runtime{Name: e.runtime.Name, Version: e.runtime.Version},
		HookPath: s.hook,
		Kernel:   s.kernel,
	}
	if bundle.Time, e.refusal = doc.Time(); e.refusal != nil {
		return nil
	}
	if bundle.NewPID, err = isNew(doc, string(specs.PIDNamespace)); err != nil {
		return err
	}
	if bundle.NewUser, err = isNew(doc, string(specs.UserNamespace)); err != nil {
		return err
	}
	ask := plan.Ask{Request: e.request, Annotations: annotations, Config: s.config, Host: s.host}
	if e.plan, e.refusal = plan.ForBundle(ask, bundle); e.refusal != nil {
		return nil
	}
	return e.apply(doc, s.hook)
}

// isNew reports whether config.json asks for a new namespace of a type.
func isNew(doc *spec.Document, typ string) (bool, error) {
	present, path, err := doc.Namespace(typ)
	return present && path == "", err
}

// apply makes the plan's edit on the document in memory and notes what changed.
// The shim's hooks get its own PATH and TIMENS_CONFIG too, which an engine sets.
func (e *explanation) apply(doc *spec.Document, hook string) error {
	before := bytes.Clone(doc.Bytes())
	switch e.plan.Mechanism {
	case plan.Native:
		if e.refusal = doc.SetTime(e.plan.Offsets); e.refusal != nil {
			return nil
		}
	case plan.Hooks:
		stages := []string{"createRuntime"}
		if e.runtime.Name == "runc" {
			stages = append(stages, "poststart")
		}
		for _, stage := range stages {
			h := specs.Hook{Path: hook, Args: []string{"timens-hook", stage}}
			if e.refusal = doc.AddHook(stage, h); e.refusal != nil {
				return nil
			}
		}
	}
	var err error
	e.changes, err = changes(before, doc.Bytes())
	return err
}

// write prints it.
func (e *explanation) write(w io.Writer) {
	line := func(what, text string) { fmt.Fprintf(w, "%-8s  %s\n", what, text) }
	line("bundle", e.bundle)
	line("runtime", title(e.runtime))
	for _, text := range e.asked() {
		line("request", text)
	}
	for _, n := range e.request.Notes {
		line("note", n)
	}
	if e.refusal != nil {
		line("decision", fmt.Sprintf("refused: %v", e.refusal))
		return
	}
	line("decision", fmt.Sprintf("%v: %s", e.plan.Mechanism, e.plan.Reason))
	for _, text := range e.plan.Warnings {
		line("warning", text)
	}
	if e.plan.Mechanism != plan.PassThrough {
		line("offsets", e.plan.Offsets.String())
	}
	if len(e.changes) == 0 {
		line("change", "none")
		return
	}
	line("change", "to config.json")
	for _, c := range e.changes {
		fmt.Fprint(w, c)
	}
}

// asked says what is asked of each clock, and where.
func (e *explanation) asked() []string {
	var list []string
	for _, c := range timens.AllClocks() {
		if a := e.request.Get(c); !a.Setting.IsZero() {
			list = append(list, fmt.Sprintf("%s: %q", a.Source, a.Value))
		} else if d := e.defaults.Get(c); e.request.IsZero() && !d.IsZero() {
			list = append(list, fmt.Sprintf("configuration key %q: %q", "defaults."+c.String(), d))
		}
	}
	if list == nil && e.refusal == nil {
		list = []string{"none"}
	}
	return list
}
