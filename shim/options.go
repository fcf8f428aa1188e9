package shim

import "strings"

// role is what the shim wants to know of an option.
type role uint8

const (
	other role = iota
	root
	bundle
	configFile
	logFile
	logFormat
	imagePath
	preDump
	quits // help and version: the runtime prints and does nothing else
	stays // --help=false and the like, which take that back for runc
)

// option is one that some runtime takes. One table serves all runtimes before the
// command and after create and run: what a runtime does not know there it refuses before
// it reads a bundle. Another serves what comes after checkpoint and restore.
//
//   - runc 1.1 to 1.5: main.go, create.go, run.go, checkpoint.go and restore.go
//   - crun 1.8 to 1.28: src/{crun,create,run,checkpoint,restore}.c
//   - youki 0.7: crates/liboci-cli/src/{lib,create,run,checkpoint}.rs
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

type optionTable []option

var options = optionTable{
	{"debug", 0, false, other},
	{"systemd-cgroup", 's', false, other}, // -s: youki
	{"help", 'h', false, quits},
	{"usage", '?', false, quits}, // crun, by argp; -? is its help
	{"version", 'v', false, quits},
	{"", 'V', false, quits},   // crun
	{"root", 'r', true, root}, // -r: youki
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

var checkpointOptions = optionTable{
	{"help", 'h', false, quits},
	{"usage", '?', false, quits},
	{"version", 'V', false, quits},
	{"image-path", 0, true, imagePath},
	{"work-path", 0, true, other},
	{"parent-path", 0, true, other},
	{"leave-running", 0, false, other},
	{"tcp-established", 0, false, other},
	{"tcp-skip-in-flight", 0, false, other},
	{"tcp-close", 0, false, other}, // crun
	{"link-remap", 0, false, other},
	{"ext-unix-sk", 0, false, other},
	{"shell-job", 0, false, other},
	{"lazy-pages", 0, false, other},
	{"status-fd", 0, true, other},
	{"page-server", 0, true, other},
	{"file-locks", 0, false, other},
	{"pre-dump", 0, false, preDump},
	{"manage-cgroups-mode", 0, true, other},
	{"network-lock", 0, true, other}, // crun; always in the next word
	{"empty-ns", 0, true, other},
	{"auto-dedup", 0, false, other},

	{"bundle", 'b', true, bundle},
	{"console-socket", 0, true, other},
	{"pid-file", 0, true, other},
	{"detach", 'd', false, other},
	{"no-subreaper", 0, false, other},
	{"no-pivot", 0, false, other},
	{"lsm-profile", 0, true, other},
	{"lsm-mount-context", 0, true, other},
}

// long finds an option by its name, or as getopt_long(3) does by the
// beginning of it, where all that begin so are alike to us. Go's flag package
// takes short names after two dashes, too.
func (t optionTable) long(name string, abbreviated bool) *option {
	if name == "" {
		return nil
	}
	var found *option
	for i := range t {
		o := &t[i]
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

func (t optionTable) short(name byte) *option {
	for i := range t {
		if o := &t[i]; o.short == name && name != 0 {
			return o
		}
	}
	return nil
}
