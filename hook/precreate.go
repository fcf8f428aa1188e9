package hook

import (
	"errors"
	"fmt"
	"io"
	"os"

	"oci-timens/config"
	"oci-timens/internal/edit"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/spec"
)

// precreate is the stage of podman's own in which hooks filter config.json: it
// comes on the standard input, and what they print is started in its place
// (RuntimeConfigFilter in containers/common, pkg/hooks/exec). Nothing is printed
// after an error.
func precreate(stdin io.Reader, stdout io.Writer) error {
	text, err := io.ReadAll(io.LimitReader(stdin, spec.MaxConfigSize+1))
	if err != nil {
		return fmt.Errorf("config.json on the standard input: %w", err)
	}
	if len(text) > spec.MaxConfigSize {
		return fmt.Errorf("config.json on the standard input: larger than %d bytes", spec.MaxConfigSize)
	}
	doc, err := spec.ParseDocument(text)
	if err != nil {
		return err
	}
	cfg, err := config.Load()
	if err != nil {
		return err
	}
	if !cfg.Defaults.IsZero() || spec.Mentioned(text) {
		if err := filter(doc, cfg); err != nil {
			return err
		}
	}
	if _, err := stdout.Write(doc.Bytes()); err != nil {
		return fmt.Errorf("config.json on the standard output: %w", err)
	}
	return nil
}

// filter edits doc, and logs what it does.
func filter(doc *spec.Document, cfg *config.Config) error {
	r, err := edit.Filter(doc, cfg, anyRuntime{edit.Start(""), cfg.Runtimes})
	if err != nil {
		return err
	}
	log, closer := open(cfg, "")
	defer closer.Close()
	for _, w := range append(r.Request.Notes, r.Plan.Warnings...) {
		log.Warn(w)
	}
	log.Infof("%v: %s", r.Plan.Mechanism, r.Plan.Reason)
	return nil
}

// anyRuntime are the facts where it is podman that knows which low-level runtime
// will be started, by its own configuration, an option, or what it has noted of the
// container: any of those that our configuration names.
type anyRuntime struct {
	edit.Facts
	names []string
}

// Runtime stands for all that are installed.
func (a anyRuntime) Runtime() (plan.Runtime, error) {
	var all []plan.Runtime
	for _, name := range a.names {
		path, err := lowlevel.Find([]string{name})
		if errors.Is(err, lowlevel.ErrNone) {
			continue // not installed
		}
		if err != nil {
			return plan.Runtime{}, err
		}
		keepFiles()
		r, err := lowlevel.Identify(path)
		if err != nil {
			return plan.Runtime{}, err
		}
		all = append(all, plan.Runtime{Name: r.Name, Version: r.Version})
	}
	if len(all) == 0 {
		_, err := lowlevel.Find(a.names) // says where it was looked for
		return plan.Runtime{}, err
	}
	return plan.Least(all), nil
}

// Hook is this program.
func (a anyRuntime) Hook() string {
	self, err := os.Executable()
	if err != nil {
		return a.Facts.Hook()
	}
	return self
}
