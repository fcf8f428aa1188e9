package ctl

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v3"

	"oci-timens/config"
	"oci-timens/internal/edit"
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

func explain(dir, runtimePath string) (*explanation, error) {
	cfg, err := config.Load()
	if err != nil {
		return nil, err
	}
	runtime, err := findRuntime(cfg, runtimePath)
	if err != nil {
		return nil, err
	}
	f, doc, err := spec.OpenFile(dir, "config.json")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	e := &explanation{bundle: dir, runtime: runtime, defaults: cfg.Defaults}
	return e, e.decide(doc, cfg, edit.Host(runtime.Path))
}

// decide does what the shim does, in memory. A refusal is a result, not an error.
func (e *explanation) decide(doc *spec.Document, cfg *config.Config, facts edit.Facts) error {
	before := bytes.Clone(doc.Bytes())
	var r edit.Result
	r, e.refusal = edit.Edit(doc, cfg, facts)
	e.request, e.plan = r.Request, r.Plan
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
		} else if d := e.defaults.Get(c); !e.request.AsksClocks() && !d.IsZero() {
			list = append(list, fmt.Sprintf("configuration key %q: %q", "defaults."+c.String(), d))
		}
	}
	list = slices.Compact(list) // one snapshot is for both
	if a := e.request.Saved; a.Name != "" {
		list = append(list, fmt.Sprintf("%s: %q", a.Source, a.Value))
	}
	if e.request.Save != "" {
		list = append(list, fmt.Sprintf("annotation %q: %q", spec.KeySave, e.request.Save))
	}
	if list == nil && e.refusal == nil {
		list = []string{"none"}
	}
	return list
}
