package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/config"
	"oci-timens/internal/plan"
	"oci-timens/spec"
	"oci-timens/timens"
)

// prepare edits the config.json that the low-level runtime at path is about to
// read, if the container is to have other clocks than the host's. After an error
// the file is as it was, and the container must not start.
func (s *shim) prepare(path string) error {
	if s.inv.goOnly != "" {
		r, err := s.facts.identify(path)
		if err != nil {
			return err
		}
		if r.Name != "runc" {
			return fmt.Errorf("option %q: runc and other runtimes understand different bundles by it; write --bundle DIR", s.inv.goOnly)
		}
	}
	file, doc, err := spec.OpenFile(s.inv.config())
	if err != nil {
		return err
	}
	defer file.Close()
	annotations, err := doc.Annotations()
	if err != nil {
		return err
	}
	request, err := spec.ParseAnnotations(annotations)
	if err != nil {
		return err
	}
	if plan.Nothing(request, s.cfg) {
		return nil
	}
	a := plan.Ask{Request: request, Annotations: annotations, Config: s.cfg}
	b, err := s.bundle(path, doc)
	if err != nil {
		return err
	}
	if !errors.Is(b.Kernel.TimeNamespaces, timens.ErrNotSupported) {
		if a.Host, err = s.facts.clocks(); err != nil {
			return fmt.Errorf("the clocks of this host: %w", err)
		}
	}
	p, err := plan.ForBundle(a, b)
	if err != nil {
		return err
	}
	if err := apply(p, b, doc); err != nil {
		return err
	}
	if err := file.Replace(doc); err != nil {
		return err
	}
	s.note(append(request.Notes, p.Warnings...), p)
	return nil
}

// bundle collects what the plan depends on.
func (s *shim) bundle(path string, doc *spec.Document) (b plan.Bundle, err error) {
	r, err := s.facts.identify(path)
	if err != nil {
		return b, err
	}
	b.Runtime = plan.Runtime{Name: r.Name, Version: r.Version}
	if !b.Runtime.Native() {
		b.HookPath = s.facts.hook()
	}
	b.Kernel = s.facts.kernel(b.Runtime)
	if b.Time, err = doc.Time(); err != nil {
		return b, err
	}
	if b.NewPID, err = isNew(doc, specs.PIDNamespace); err != nil {
		return b, err
	}
	b.NewUser, err = isNew(doc, specs.UserNamespace)
	return b, err
}

// isNew reports whether the container gets a new namespace of a type.
func isNew(doc *spec.Document, typ specs.LinuxNamespaceType) (bool, error) {
	present, path, err := doc.Namespace(string(typ))
	return present && path == "", err
}

// apply does what the plan says in doc.
func apply(p plan.Plan, b plan.Bundle, doc *spec.Document) error {
	switch p.Mechanism {
	case plan.Native:
		return doc.SetTime(p.Offsets)
	case plan.Hooks:
		stages := []string{"createRuntime"}
		if b.Runtime.Name == "runc" {
			stages = append(stages, "poststart") // without which runc exec sees the host's clocks
		}
		for _, stage := range stages {
			h := specs.Hook{Path: b.HookPath, Args: []string{"timens-hook", stage}, Env: hookEnv()}
			if err := doc.AddHook(stage, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// hookEnv is the environment of the hooks, which runtimes start with nothing
// else: the hook has to read the configuration that was read here.
func hookEnv() []string {
	var env []string
	if v, ok := os.LookupEnv("PATH"); ok {
		env = append(env, "PATH="+v)
	}
	if v := os.Getenv(config.EnvPath); v != "" {
		// The hook is run in another directory.
		if abs, err := filepath.Abs(v); err == nil {
			v = abs
		}
		env = append(env, config.EnvPath+"="+v)
	}
	return env
}
