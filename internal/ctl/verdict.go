package ctl

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"oci-timens/config"
	"oci-timens/internal/engine"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/spec"
	"oci-timens/timens"
)

// answer is yes, no or unknown, with a reason unless it is yes.
type answer struct {
	Answer string `json:"answer"`
	Reason string `json:"reason,omitempty"`
}

func answerOf(err error) answer {
	switch {
	case err == nil:
		return answer{Answer: "yes"}
	case errors.Is(err, timens.ErrNotSupported):
		return answer{"no", err.Error()}
	}
	return answer{"unknown", err.Error()}
}

// report is what check prints.
type report struct {
	Kernel         string          `json:"kernel"`
	TimeNamespaces answer          `json:"timeNamespaces"`
	ExecSwitch     answer          `json:"execSwitch"`
	Ptrace         answer          `json:"ptrace"`
	Capabilities   map[string]bool `json:"capabilities"`
	Config         configReport    `json:"config"`
	Hook           string          `json:"hook"`
	Shim           string          `json:"shim"`
	Runtimes       []runtimeReport `json:"runtimes"`
	Problems       []string        `json:"problems,omitempty"`
	Works          []verdict       `json:"works"`
	Engines        []engine.Status `json:"engines"`
}

type configReport struct {
	Path  string `json:"path"`
	Error string `json:"error,omitempty"`
}

// runtimeReport is one runtime and how a usual container with it gets its clocks.
type runtimeReport struct {
	Path      string `json:"path"`
	Name      string `json:"name"`
	Version   string `json:"version"`
	Mechanism string `json:"mechanism"` // "" when none works
	Reason    string `json:"reason"`
}

// verdict is one thing that a user may want to do.
type verdict struct {
	What  string `json:"what"`
	Works bool   `json:"works"`
	Why   string `json:"why"`
}

func (r *report) anything() bool {
	for _, v := range r.Works {
		if v.Works {
			return true
		}
	}
	return false
}

// needed are the capabilities that matter, and what for.
var needed = []struct {
	bit  int
	name string
}{
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
	{unix.CAP_SYS_TIME, "CAP_SYS_TIME"},
	{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
}

func (f facts) has(bit int) bool { return f.capabilities&(1<<bit) != 0 }

// judge draws the conclusions.
func judge(f facts) *report {
	r := &report{
		Kernel:         f.kernel,
		TimeNamespaces: answerOf(f.support.TimeNamespaces),
		ExecSwitch:     answerOf(f.support.ExecSwitch),
		Ptrace:         answerOf(f.support.Ptrace),
		Capabilities:   map[string]bool{},
		Config:         configReport{Path: f.configPath},
		Hook:           f.hook,
		Shim:           f.shim,
		Runtimes:       []runtimeReport{},
		Engines:        f.engines,
	}
	for _, n := range needed {
		r.Capabilities[n.name] = f.has(n.bit)
	}
	if f.configErr != nil {
		r.Config.Error = f.configErr.Error()
	}
	for _, err := range f.runtimeErrs {
		r.Problems = append(r.Problems, err.Error())
	}
	r.Works = append(r.Works, f.judgeRun(), f.judgeHook())
	for _, rt := range f.runtimes {
		report, v := f.judgeShim(rt)
		r.Runtimes = append(r.Runtimes, report)
		r.Works = append(r.Works, v)
	}
	if len(f.runtimes) == 0 {
		r.Works = append(r.Works, verdict{"shim", false, "no low-level runtime was found in PATH: install runc or crun, or name it in " + f.configPath})
	}
	return r
}

func title(r lowlevel.Runtime) string {
	return fmt.Sprintf("%v (%s)", plan.Runtime{Name: r.Name, Version: r.Version}, r.Path)
}

// judgeRun is about "timensctl run".
func (f facts) judgeRun() verdict {
	v := verdict{What: name + " run"}
	var lacks []string
	for _, n := range needed[:2] {
		if !f.has(n.bit) {
			lacks = append(lacks, n.name)
		}
	}
	switch {
	case f.support.TimeNamespaces != nil:
		v.Why = f.support.TimeNamespaces.Error()
	case f.support.Ptrace != nil:
		v.Why = f.support.Ptrace.Error()
	case len(lacks) > 0:
		v.Why = "this process lacks " + strings.Join(lacks, " and ") + ": run as root, or in a user namespace (unshare -r)"
	default:
		v.Works, v.Why = true, "the kernel and this user's rights allow it"
	}
	return v
}

// judgeHook is about the createRuntime hook without the shim.
func (f facts) judgeHook() verdict {
	v := verdict{What: "createRuntime hook"}
	switch {
	case f.support.TimeNamespaces != nil:
		v.Why = f.support.TimeNamespaces.Error()
	case f.support.Ptrace != nil:
		v.Why = f.support.Ptrace.Error()
	case f.hook == "":
		v.Why = "timens-hook was not found: " + whereFound
	case f.configErr != nil:
		v.Why = f.configErr.Error()
	case f.support.ExecSwitch != nil:
		v.Works, v.Why = true, "with crun alone, whose init has one thread: "+f.support.ExecSwitch.Error()
	default:
		v.Works, v.Why = true, "with every low-level runtime"
	}
	return v
}

// judgeShim asks what the shim itself would decide for a usual container.
func (f facts) judgeShim(rt lowlevel.Runtime) (runtimeReport, verdict) {
	r := runtimeReport{Path: rt.Path, Name: rt.Name, Version: rt.Version}
	v := verdict{What: "shim with " + title(rt)}
	one, _ := timens.ParseSetting("+1s")
	p, err := plan.ForBundle(
		plan.Ask{Request: spec.Request{Boottime: spec.Asked{Setting: one, Source: "check", Value: "+1s"}}, Config: config.Default()},
		plan.Bundle{
			Runtime: plan.Runtime{Name: rt.Name, Version: rt.Version}, HookPath: f.hook, NewPID: true,
			Kernel: plan.Kernel{TimeNamespaces: f.support.TimeNamespaces, ExecSwitch: f.support.ExecSwitch},
		})
	if err != nil {
		r.Reason, v.Why = err.Error(), err.Error()
		return r, v
	}
	r.Mechanism, r.Reason = p.Mechanism.String(), p.Reason
	switch {
	case f.configErr != nil:
		v.Why = f.configErr.Error()
	case rt.Name == "crun" && f.hybrid != "":
		v.Why = fmt.Sprintf("crun starts no container with the hybrid cgroup hierarchy of this machine, whose cgroup v2 part has controllers (%s)", f.hybrid)
	case p.Mechanism == plan.Hooks && f.support.Ptrace != nil:
		v.Why = f.support.Ptrace.Error()
	case f.shim == "":
		v.Why = "timens-runc was not found: " + whereFound
	default:
		v.Works, v.Why = true, r.Mechanism+": "+r.Reason
	}
	return r, v
}
