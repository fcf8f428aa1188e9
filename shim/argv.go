package shim

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// invocation is what the shim has to know of a command line.
type invocation struct {
	command string // "" when nothing is run: help, version, or nothing at all
	id      string // the container, for commands that are read; "" when none is named

	root, bundle, configFile string // as given, "" for none
	log, logFormat           string

	imagePath  string // of checkpoint and restore
	preDump    bool   // a checkpoint that only begins one
	optionsEnd int    // of restore: before which argument options end that all runtimes read

	// goOnly is an option that was read as runc reads it, and that others would
	// understand otherwise, such as -b=DIR: getopt_long(3) takes "=DIR".
	goOnly string
	// crunOnly is an option that was read as crun reads it: --config, which no runc
	// has to date, and which one to come may take to mean another file.
	crunOnly string
	// bare is such a command with nothing after it, which all runtimes refuse.
	// What they make of other lines without an ID they may not agree about.
	bare bool
}

// makesContainer reports whether a low-level runtime may read a bundle.
func (inv *invocation) makesContainer() bool {
	return (inv.command == "create" || inv.command == "run") && !inv.bare
}

// restores reports whether a container may be made of an image.
func (inv *invocation) restores() bool { return inv.command == "restore" && !inv.bare }

// checkpoints reports whether a container may be stopped, or left running, with an image
// made of it.
func (inv *invocation) checkpoints() bool {
	return inv.command == "checkpoint" && !inv.bare && !inv.preDump
}

// isRead reports whether all of the line matters of a command.
func isRead(command string) bool {
	switch command {
	case "create", "run", "checkpoint", "restore":
		return true
	}
	return false
}

// config returns the directory and the name of the container's config.json. A
// file named by crun's --config is relative to the working directory, unless it
// is called just config.json, and not to the bundle (src/run_create.c).
func (inv *invocation) config() (dir, name string) {
	if f := inv.configFile; f != "" && f != "config.json" {
		return filepath.Dir(f), filepath.Base(f)
	}
	if inv.bundle == "" {
		return ".", "config.json"
	}
	return inv.bundle, "config.json"
}

// walker reads a command line as the low-level runtimes do.
//
// They do not agree in everything. runc has urfave/cli on Go's flag package:
// long names after one or two dashes, no abbreviations, no groups of short
// options. crun has argp on getopt_long(3): abbreviations and groups. youki has
// clap: groups. Options after the ID count for youki and newer runc, for others
// they are errors, as for all of them more than one ID is. So the walker takes
// what any of them takes, and where two would take the same words for different
// bundles it says so. What none of them is known to take makes the commands fail that isRead
// tells.
type walker struct {
	args    []string // what is still to be read
	total   int      // of args at first
	table   optionTable
	unknown string // an option before the command that is not known
	lacking string // the last word, where it is an option without its value
	invocation
}

// parse reads the arguments after the program's name. It fails when the command
// is one that isRead tells, or may be, and not every word of the line is understood.
func parse(args []string) (*invocation, error) {
	w := &walker{args: args, total: len(args), table: options}
	err := w.global()
	if err == nil && isRead(w.command) {
		if w.command == "checkpoint" || w.command == "restore" {
			w.table = checkpointOptions
		}
		err = w.rest()
	}
	return &w.invocation, err
}

// next takes the next argument. isOption is false for an operand, as "-" is one.
// urfave/cli v3, in runc after 1.5, does not count the spaces around an option;
// to everybody else one with spaces is something else.
func (w *walker) next() (arg string, isOption bool) {
	arg, w.args = w.args[0], w.args[1:]
	t := strings.TrimLeftFunc(arg, unicode.IsSpace)
	if !strings.Contains(t, "=") {
		t = strings.TrimRightFunc(t, unicode.IsSpace)
	}
	if len(t) < 2 || t[0] != '-' {
		return arg, false
	}
	if t != arg {
		w.goOnly = arg
	}
	return t, true
}

// global reads the options before the command, and the command.
func (w *walker) global() error {
	for len(w.args) > 0 {
		arg, isOption := w.next()
		if arg == "--" && len(w.args) > 0 {
			arg, w.args = w.args[0], w.args[1:]
			isOption = false
		}
		if !isOption {
			w.command = arg
			return nil
		}
		o := w.option(arg)
		switch {
		case o == nil && strings.Contains(arg, "="):
			w.unknown = arg
		case o == nil:
			// Its value, or the command, may come next.
			if slices.ContainsFunc(w.args, isRead) {
				return unknownOption(arg)
			}
			return nil
		case o.role == quits:
			return w.quit()
		}
	}
	return nil
}

// quit reads the rest where an option has had the runtime print something and end. Of options
// that are given twice runc takes the last one, and crun the first.
func (w *walker) quit() error {
	for i, arg := range w.args {
		if takesBack(arg) && slices.ContainsFunc(w.args[i:], isRead) {
			return unknownOption(arg)
		}
	}
	return nil
}

// takesBack tells whether a word is like --version=false.
func takesBack(arg string) bool {
	name, value, hasValue := strings.Cut(strings.TrimSpace(arg), "=")
	if yes, err := strconv.ParseBool(value); !hasValue || yes && err == nil || !strings.HasPrefix(name, "-") {
		return false
	}
	o := options.long(strings.TrimLeft(name, "-"), false)
	return o != nil && o.role == quits
}

// rest reads what comes after the command.
func (w *walker) rest() error {
	if w.unknown != "" {
		return unknownOption(w.unknown)
	}
	w.bare = len(w.args) == 0
	quitting, optional := false, false
	ends := slices.ContainsFunc(w.args, func(arg string) bool { return strings.TrimSpace(arg) == "--" })
	for len(w.args) > 0 {
		arg, isOption := w.next()
		switch {
		case arg == "--" && !quitting && w.id == "" && len(w.args) > 0:
			w.id = w.args[0]
			w.end()
			return nil
		case arg == "--":
			w.args = nil
		case !isOption:
			if w.id == "" && !quitting {
				w.id = arg
				w.end()
			}
		default:
			o := w.option(arg)
			switch {
			case o != nil && o.role == stays && quitting:
				return unknownOption(arg)
			case o != nil:
				quitting, optional = quitting || o.role == quits, true
			case !quitting:
				return unknownOption(arg)
			}
		}
	}
	// Of "create --debug --" runc makes a container that is called "--debug".
	if w.id == "" && w.lacking == "" && optional && ends && w.crunOnly == "" {
		return errors.New(`there is a "--" and no container ID: runc may take an option for it; name the container`)
	}
	// Of "create --version c1 --bundle" runc makes the bundle "--version": urfave/cli v1
	// moves options, and not what it does not know, to the front (command.go, reorderArgs).
	if quitting && w.lacking == "" {
		w.command = ""
		return nil
	}
	if w.lacking != "" && (w.command == "checkpoint" || w.command == "restore") {
		// So podman asks whether the runtime knows --lsm-mount-context (pkg/checkpoint/
		// crutils/checkpoint_restore_utils.go of podman 5.4). All refuse it before they do anything.
		w.bare = true
		return nil
	}
	if w.lacking != "" {
		return fmt.Errorf("option %q lacks its value", w.lacking)
	}
	return nil
}

// end notes that the options that all runtimes read end before the word that was taken.
func (w *walker) end() {
	if w.command == "restore" {
		w.optionsEnd = w.total - len(w.args) - 1
	}
}

func unknownOption(arg string) error {
	return fmt.Errorf("unknown option %q: what it does to the words after it, and to the bundle, cannot be told; leave it out", arg)
}
