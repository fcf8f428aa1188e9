// Package engine sets up podman, Docker, containerd and CRI-O so that an annotation
// gives a container its clocks, takes that out again, and tells what is set up.
//
// Each engine has a file that decides what is to be written where; all it sees is
// the configuration of this host, and all it makes is a set of changes. What writes
// these is the same for all: it keeps a record, from which everything can be
// restored after a power cut at any time.
//
// What a container's clocks become does not belong here, nor what is printed.
package engine

import (
	"fmt"
	"slices"
	"strings"
)

// Names of engines.
const (
	Podman     = "podman"
	Docker     = "docker"
	Containerd = "containerd"
	CRIO       = "crio"
)

// Names lists the engines.
var Names = []string{Podman, Docker, Containerd, CRIO}

// Modes: how annotations reach us.
const (
	ModeRuntime   = "runtime"   // the shim, as a runtime of the engine
	ModeHook      = "hook"      // timens-hook at createRuntime and poststart, from a hooks directory
	ModePrecreate = "precreate" // timens-hook as a filter of config.json
	ModeCDI       = "cdi"       // timens-hook as the edit of a CDI device
)

// Modes lists the modes.
var Modes = []string{ModeRuntime, ModeHook, ModePrecreate, ModeCDI}

// runtimeName is the name of the runtime or runtime handler, everywhere.
const runtimeName = "timens"

// Options say what is wanted.
type Options struct {
	Engine        string
	Mode          string // "" for the best
	SetDefault    bool   // make the shim the default runtime
	AllContainers bool   // also reach containers without annotations
	Remove        bool
	DryRun        bool
	Rootless      bool
	Config        string // the engine's configuration file to edit, "" for the usual one
	Hook, Shim    string // paths, "" for those that are installed
}

// check refuses combinations that mean nothing.
func (o Options) check() error {
	switch {
	case !slices.Contains(Names, o.Engine):
		return fmt.Errorf("unknown engine %q: want %s", o.Engine, list(Names))
	case o.Mode != "" && !slices.Contains(Modes, o.Mode):
		return fmt.Errorf("unknown mode %q: want %s", o.Mode, list(Modes))
	case o.Rootless && o.Engine != Podman && o.Engine != Docker:
		return fmt.Errorf("--rootless: %s is run by root alone; podman and docker have a rootless form", o.Engine)
	case o.Remove && (o.Mode != "" || o.SetDefault || o.AllContainers || o.Hook != "" || o.Shim != ""):
		return fmt.Errorf("--remove takes out whatever was set up: it goes with --config, --rootless and --dry-run alone")
	case o.SetDefault && o.Mode != "" && o.Mode != ModeRuntime:
		return fmt.Errorf("--set-default is about the default runtime, which --mode=%s does not touch: use --mode=%s", o.Mode, ModeRuntime)
	}
	return nil
}

// list joins names as in a sentence.
func list(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Result is what was done, or with DryRun would be.
type Result struct {
	Engine  string
	Version string // as in "podman 4.3.1", or what is assumed
	Mode    string // "" when it was removed
	Reason  string // for the mode
	Changes []Change
	Notes   []string // what the user should know
	Restart string   // what to restart
	Try     []string // commands
}

// Change is about one file.
type Change struct {
	Path          string
	Before, After []byte // nil where there is no file
}

// Verb says what happens to the file.
func (c Change) Verb() string {
	switch {
	case c.Before == nil:
		return "create"
	case c.After == nil:
		return "remove"
	}
	return "change"
}
