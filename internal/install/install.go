// Package install puts the programs of a container image and a configuration
// onto the node that the container runs on, has an engine set up to use them, and
// takes all of that away again.
//
// How an engine is set up does not belong here: that is internal/engine's. Nothing
// here talks to a cluster.
package install

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"oci-timens/internal/plan"
)

// Programs are what a node gets, from the folder of the running program.
var Programs = []string{"timens-hook", "timens-runc", "timensctl"}

// Options say what is wanted. Paths are those of the node.
type Options struct {
	Host    string // where the node's root is mounted
	From    string // the folder of the programs, in the image
	Prefix  string // the folder for them
	Version string // of the programs
	// Config is a file in the image's file system, such as one of a ConfigMap, to
	// become part of the node's configuration. "" leaves that alone.
	Config string
	// Engine is to be set up. The whole of the node must be at Host then.
	Engine       string
	EngineConfig string // the engine's configuration file, "" for the usual one
	// Restart is run on the node when the engine must be restarted. Without words
	// that is only said.
	Restart []string
	Force   bool // uninstall even where containers need what goes
	Out     io.Writer

	kernel plan.Kernel // with an engine
}

func (o *Options) say(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }

// at returns where a path of the node is.
func (o *Options) at(path string) string { return filepath.Join("/", o.Host, path) }

func (o *Options) check() error {
	switch {
	case !filepath.IsAbs(o.Prefix) || filepath.Clean(o.Prefix) == "/":
		return fmt.Errorf("--prefix %q: want the absolute path of a folder of its own", o.Prefix)
	case !filepath.IsAbs(o.Host):
		return fmt.Errorf("--host %q: want the absolute path at which the node's files are mounted", o.Host)
	case o.Engine == "" && (o.EngineConfig != "" || len(o.Restart) > 0):
		return fmt.Errorf("--engine-config and --restart are about the engine that --engine names, and none is")
	}
	if info, err := os.Stat(o.Host); err != nil || !info.IsDir() {
		return fmt.Errorf("--host %q: the node's files are not mounted there: %w", o.Host, orNoDirectory(err))
	}
	return nil
}

func orNoDirectory(err error) error {
	if err == nil {
		return fmt.Errorf("it is no directory")
	}
	return err
}

// Install puts the programs and the configuration onto the node. Whatever is there
// of another version is used until the new one is complete. To run it again changes
// nothing.
func Install(o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	set, err := readPrograms(o.From)
	if err != nil {
		return err
	}
	var config []byte
	if o.Config != "" {
		if config, err = os.ReadFile(o.Config); err != nil {
			return fmt.Errorf("--config: %w", err)
		}
	}
	if o.Engine != "" {
		if err := o.enter(); err != nil {
			return err
		}
	}
	l, err := o.lock()
	if err != nil {
		return err
	}
	defer l.Close()
	// A mistake in it is to change nothing; but it may have keys that only the new
	// programs know.
	if o.Config != "" {
		if err := o.tryConfig(config); err != nil {
			return err
		}
	}
	if err := o.installPrograms(set); err != nil {
		return err
	}
	if o.Config != "" {
		if err := o.writeConfig(config); err != nil {
			return err
		}
	}
	if o.Engine != "" {
		return o.setUpEngine()
	}
	return nil
}

// Uninstall takes away what Install has put there. An engine is set back before the
// programs go that it would call.
func Uninstall(o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.Engine != "" {
		if err := o.enter(); err != nil {
			return err
		}
	}
	l, err := o.lock()
	if err != nil {
		return err
	}
	defer l.Close()
	if o.Engine != "" {
		if !o.Force {
			if err := o.checkUnused(); err != nil {
				return err
			}
		}
		if err := o.setBackEngine(); err != nil {
			return err
		}
	}
	if err := o.writeConfig(nil); err != nil {
		return err
	}
	return o.removePrograms()
}
