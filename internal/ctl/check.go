package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"oci-timens/config"
	"oci-timens/internal/engine"
	"oci-timens/internal/lowlevel"
	"oci-timens/timens"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "say what will work on this machine, for this user, and what will not, and why",
		Description: "Looks at the kernel, by trying where that is possible, the capabilities of this process, the\n" +
			"configuration, the low-level runtimes in PATH, and how engines are set up. Changes nothing.\n" +
			"Exit status 1 when nothing works. With --checkpoint, says whether a container that runs could be\n" +
			"checkpointed by CRIU and restored, and if not, exits with 1.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.StringFlag{Name: "checkpoint", Usage: "look at `CONTAINER` instead, by id or PID of its init, before it is checkpointed"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.IsSet("checkpoint") {
				r, err := checkCheckpoint(c.String("checkpoint"))
				if err != nil {
					return err
				}
				return tell(c, r, r.Works)
			}
			f := gather()
			f.engines = f.lookAtEngines()
			r := judge(f)
			return tell(c, r, r.anything())
		},
	}
}

// tell prints a report, and ends with status 1 unless it is good.
func tell(c *cli.Command, r interface{ write(io.Writer) }, good bool) error {
	out, _ := outs(c)
	if c.String("output") != "json" {
		r.write(out)
	} else if err := writeJSON(out, r); err != nil {
		return err
	}
	if !good {
		return exitStatus(1)
	}
	return nil
}

// facts are what a verdict is made of.
type facts struct {
	kernel       string
	support      timens.Support
	capabilities uint64 // effective, a bit for each
	configPath   string
	config       *config.Config
	configErr    error
	hook, shim   string // paths, "" when not found
	runtimes     []lowlevel.Runtime
	runtimeErrs  []error
	engines      []engine.Status
	hybrid       string // the controllers of cgroup v2 beside a cgroup v1
}

func gather() facts {
	f := facts{
		support:    timens.Probe(),
		configPath: config.Path(),
		hook:       lowlevel.Companion("timens-hook"),
		shim:       lowlevel.Companion("timens-runc"),
	}
	if e := f.support.ExecSwitch; e != nil && !errors.Is(e, timens.ErrNotSupported) {
		f.support.ExecSwitch = timens.HaveExecSwitch() // what cannot be tried may still be known
	}
	f.kernel = kernelRelease()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) == nil {
		f.capabilities = uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	}
	if text, err := os.ReadFile("/sys/fs/cgroup/unified/cgroup.controllers"); err == nil {
		f.hybrid = strings.TrimSpace(string(text))
	}
	f.config, f.configErr = config.Load()
	candidates := config.Default().Runtimes
	if f.configErr == nil {
		candidates = append(f.config.Runtimes, candidates...)
	}
	f.runtimes, f.runtimeErrs = findRuntimes(append(candidates, "runc", "crun", "youki"))
	return f
}

// kernelRelease is what uname(2) says.
func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// write prints it for people.
func (r *report) write(w io.Writer) {
	line := func(what string, a answer) {
		text := a.Answer
		if a.Reason != "" {
			text += ": " + a.Reason
		}
		fmt.Fprintf(w, "%-16s  %s\n", what, text)
	}
	fmt.Fprintf(w, "%-16s  Linux %s\n", "kernel", r.Kernel)
	line("time namespaces", r.TimeNamespaces)
	line("entered at exec", r.ExecSwitch)
	line("ptrace", r.Ptrace)
	for _, n := range needed {
		a := answer{Answer: "yes"}
		if !r.Capabilities[n.name] {
			a.Answer = "no"
		}
		line(n.name, a)
	}
	conf := answer{Answer: r.Config.Path}
	if r.Config.Error != "" {
		conf = answer{"invalid", r.Config.Error}
	} else if _, err := os.Stat(r.Config.Path); err != nil {
		conf.Answer += " (absent: the defaults hold)"
	}
	line("configuration", conf)
	line("timens-hook", answer{Answer: orNone(r.Hook)})
	line("timens-runc", answer{Answer: orNone(r.Shim)})
	for _, p := range r.Problems {
		line("problem", answer{Answer: p})
	}
	fmt.Fprintln(w)
	for _, v := range r.Works {
		fmt.Fprintf(w, "%s %s: %s\n", tick(v.Works), v.What, v.Why)
	}
	writeEngines(w, r.Engines)
}

func orNone(path string) string {
	if path == "" {
		return "not found"
	}
	return path
}
