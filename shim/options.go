package shim

import "strings"

// role is what the shim wants to know of an option.
type role uint8

const (
	other role = iota
	bundle
	configFile
	logFile
	logFormat
	quits // help and version: the runtime prints and does nothing else
)

// option is one that some runtime takes, before the command or after create
// and run. One table serves all runtimes and both places: what a runtime does
// not know there it refuses before it reads a bundle.
//
//   - runc 1.1 to 1.5: main.go, create.go and run.go
//   - crun 1.8 to 1.28: src/crun.c, src/create.c and src/run.c
//   - youki 0.7: crates/liboci-cli/src/{lib,create,run}.rs
type option struct {
	long  string
	short byte // 0 for none
	value bool // takes one
	role  role
}

func (o *option) name() string {
	if o.long == "" {
		return "-" + string(o.short)
	}
	return "--" + o.long
}

var options = [...]option{
	{"debug", 0, false, other},
	{"systemd-cgroup", 's', false, other}, // -s: youki
	{"help", 'h', false, quits},
	{"usage", '?', false, quits}, // crun, by argp; -? is its help
	{"version", 'v', false, quits},
	{"", 'V', false, quits},    // crun
	{"root", 'r', true, other}, // -r: youki
	{"rootless", 0, true, other},
	{"criu", 0, true, other}, // runc 1.1
	{"cgroup-manager", 0, true, other},
	{"log", 'l', true, logFile}, // -l: youki
	{"log-format", 0, true, logFormat},
	{"log-level", 0, true, other},
	{"systemd-log", 0, false, other}, // youki

	{"bundle", 'b', true, bundle},
	{"config", 'f', true, configFile},    // crun
	{"console-socket", 'c', true, other}, // -c: youki
	{"pidfd-socket", 0, true, other},
	{"pid-file", 'p', true, other}, // -p: youki
	{"preserve-fds", 0, true, other},
	{"no-pivot", 0, false, other},
	{"no-new-keyring", 0, false, other},
	{"no-subreaper", 0, false, other},
	{"detach", 'd', false, other},
	{"keep", 0, false, other},
}

// longOption finds an option by its name, or as getopt_long(3) does by the
// beginning of it, where all that begin so are alike to us. Go's flag package
// takes short names after two dashes, too.
func longOption(name string, abbreviated bool) *option {
	if name == "" {
		return nil
	}
	var found *option
	for i := range options {
		o := &options[i]
		switch {
		case o.long == name, len(name) == 1 && o.short == name[0]:
			return o
		case !abbreviated || !strings.HasPrefix(o.long, name):
		case found == nil:
			found = o
		case found.value != o.value || found.role != o.role:
			return nil
		}
	}
	return found
}

func shortOption(name byte) *option {
	for i := range options {
		if o := &options[i]; o.short == name && name != 0 {
			return o
		}
	}
	return nil
}
