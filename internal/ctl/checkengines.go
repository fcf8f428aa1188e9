package ctl

import (
	"fmt"
	"io"

	"oci-timens/internal/engine"
	"oci-timens/internal/plan"
)

// lookAtEngines asks each engine that is installed how it is set up.
func (f facts) lookAtEngines() []engine.Status {
	h := engine.ThisHost()
	h.Kernel = plan.Kernel{TimeNamespaces: f.support.TimeNamespaces, ExecSwitch: f.support.ExecSwitch}
	return engine.Check(h, f.support.Ptrace)
}

// writeEngines prints it for people.
func writeEngines(w io.Writer, list []engine.Status) {
	if len(list) > 0 {
		fmt.Fprintln(w)
	}
	for _, s := range list {
		title := s.Engine
		if s.Version != "" {
			title += " " + s.Version
		}
		if len(s.Ways) == 0 && len(s.Problems) == 0 {
			fmt.Fprintf(w, "%s: not set up; \"%s configure %s\" does that\n", title, name, s.Engine)
		}
		for _, p := range s.Problems {
			fmt.Fprintf(w, "%s: %s\n", title, p)
		}
		for _, way := range s.Ways {
			what := way.Mode
			if way.Name != "" {
				what += " " + way.Name
			}
			if way.Default && way.Mode == engine.ModeRuntime {
				what += ", the default"
			}
			fmt.Fprintf(w, "%s: %s, by %s\n", title, what, way.File)
			for _, v := range way.Works {
				fmt.Fprintf(w, "  %s %s: %s\n", tick(v.Works), v.What, v.Why)
			}
		}
	}
}

func tick(works bool) string {
	if works {
		return "✓"
	}
	return "✗"
}
