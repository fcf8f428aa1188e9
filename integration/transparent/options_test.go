package transparent

import "strings"

// option is one of a command's, in the words of the runtime's help.
type option struct {
	name  string // "bundle b"
	value string // a good one; "" for an option that is on or off
	bad   string // one that the runtime refuses, "" for none
}

// command is one of runc's.
type command struct {
	name     string
	operands string
	options  []option
	program  string // mode of the container's program
	setup    []string
	// fresh has every line find the container as setup leaves it. Lines of other commands
	// leave everything as it is.
	fresh bool
	mask  bool
}

var bundle = option{"bundle b", "@/bundle", "@/none"}

// commands are runc 1.5's: create.go, run.go and so on. What another version does not know
// is compared as well.
var commands = []command{
	{name: "create", operands: "c1", fresh: true, options: []option{
		bundle, {"console-socket", "@/none", ""}, {"pidfd-socket", "@/none", ""}, {"pid-file", "@/pid", "@/none/pid"},
		{"no-pivot", "", ""}, {"no-new-keyring", "", ""}, {"preserve-fds", "0", "x"},
	}},
	{name: "run", operands: "c1", fresh: true, options: []option{
		bundle, {"console-socket", "@/none", ""}, {"pidfd-socket", "@/none", ""}, {"detach d", "", ""}, {"keep", "", ""},
		{"pid-file", "@/pid", ""}, {"no-subreaper", "", ""}, {"no-pivot", "", ""}, {"no-new-keyring", "", ""}, {"preserve-fds", "0", "x"},
	}},
	{name: "start", operands: "c1", fresh: true, setup: []string{"create c1"}},
	{name: "delete", operands: "c1", fresh: true, setup: []string{"create c1"}, options: []option{{"force f", "", ""}}},
	{name: "pause", operands: "c1", fresh: true, program: "hold", setup: []string{"run -d c1"}},
	{name: "resume", operands: "c1", fresh: true, program: "hold", setup: []string{"run -d c1", "pause c1"}},
	{name: "state", operands: "c1", program: "hold", setup: []string{"run -d c1"}},
	{name: "list", program: "hold", setup: []string{"run -d c1"}, options: []option{{"format f", "json", "yaml"}, {"quiet q", "", ""}}},
	{name: "ps", operands: "c1", program: "hold", setup: []string{"run -d c1"}, mask: true, options: []option{{"format f", "json", "yaml"}}},
	{name: "events", operands: "--stats c1", program: "hold", setup: []string{"run -d c1"}, mask: true, options: []option{
		{"stats", "", ""}, {"interval", "1s", "0"},
	}},
	{name: "kill", operands: "c1 USR1", program: "hold", setup: []string{"run -d c1"}, options: []option{{"all a", "", ""}}},
	{name: "exec", operands: "c1 /tell inside exit 6", program: "hold", setup: []string{"run -d c1"}, options: []option{
		{"console-socket", "@/none", ""}, {"pidfd-socket", "@/none", ""}, {"cwd", "/dev", "/none"}, {"env e", "COLOUR=red", ""}, {"tty t", "", ""},
		{"user u", "1000:1001", "x"}, {"additional-gids g", "7", "x"}, {"process p", "@/none", ""}, {"detach d", "", ""}, {"pid-file", "@/pid", ""},
		{"process-label", "x", ""}, {"apparmor", "x", ""}, {"no-new-privs", "", ""}, {"cap c", "CAP_KILL", "CAP_NONE"}, {"preserve-fds", "0", "x"},
		{"cgroup", "/", ""}, {"ignore-paused", "", ""},
	}},
	{name: "update", operands: "c1", program: "hold", setup: []string{"run -d c1"}, options: []option{
		{"resources r", "@/resources.json", "@/none"}, {"blkio-weight", "500", "x"}, {"cpu-period", "100000", "x"}, {"cpu-quota", "50000", "x"},
		{"cpu-burst", "0", "x"}, {"cpu-share", "512", "x"}, {"cpu-rt-period", "", ""}, {"cpuset-cpus", "0", "999"}, {"cpuset-mems", "0", "999"},
		{"memory", "64M", "x"}, {"cpu-idle", "0", "x"}, {"memory-reservation", "32M", "x"}, {"memory-swap", "64M", "x"}, {"pids-limit", "77", "x"},
		{"l3-cache-schema", "x", ""}, {"mem-bw-schema", "x", ""},
	}},
	{name: "spec", options: []option{{"bundle b", "@/empty", "@/none"}, {"rootless", "", ""}}},
	{name: "features"},
	{name: "checkpoint", operands: "none", fresh: true, options: []option{{"image-path", "@/empty", ""}, {"leave-running", "", ""}}},
	{name: "restore", operands: "none", fresh: true, options: []option{{"image-path", "@/empty", ""}, {"detach d", "", ""}}},
	{name: "init"}, {name: "none", operands: "c1"}, {name: "help"}, {name: "version"},
}

// forms writes an option in every way that there is, good and bad. cut has no value after
// it, and so stands last.
func (o option) forms() (whole, cut []string) {
	for name := range strings.FieldsSeq(o.name) {
		for _, dashes := range []string{"--", "-"} {
			n := dashes + name
			if o.value == "" {
				whole = append(whole, n, n+"=true", n+"=false", n+"=maybe", n+"=")
				continue
			}
			whole = append(whole, n+" "+o.value, n+"="+o.value, n+"=", n+" ''")
			if o.bad != "" {
				whole = append(whole, n+" "+o.bad, n+"="+o.bad)
			}
			cut = append(cut, n)
		}
		if o.value != "" && len(name) == 1 {
			whole = append(whole, "-"+name+o.value)
		}
	}
	if o.value != "" && o.bad != "" { // of two the last one counts
		n := "--" + strings.Fields(o.name)[0] + " "
		whole = append(whole, n+o.bad+" "+n+o.value)
	}
	return whole, cut
}

// calls writes all lines of a command, with what the shim refuses of those that it reads.
func (c command) calls(r lowLevel) (all []call) {
	makes, criu := c.name == "create" || c.name == "run", c.name == "checkpoint" || c.name == "restore"
	join := func(words ...string) string { return strings.Join(strings.Fields(strings.Join(words, " ")), " ") }
	add := func(ours string, words ...string) {
		if !makes && !criu {
			ours = ""
		}
		all = append(all, call{line: join(append([]string{c.name}, words...)...), ours: ours, criu: criu, alone: c.name == "exec", mask: c.mask})
	}
	add("", c.operands)
	add("")
	add("", c.operands, "too many")
	add("", "--", c.operands)
	add("", c.operands, "--")
	add("", "-", c.operands)
	for _, o := range []string{"--none", "-z", "--none=1"} {
		add(`unknown option "`+o+`"`, o, c.operands)
		add(`unknown option "`+o+`"`, c.operands, o)
	}
	for _, help := range []string{"--help", "-h", "-help", "--h", "--help=true", "--help=false"} {
		add("", help)
		add("", help, c.operands)
		add("", c.operands, help)
	}
	if c.operands != "" {
		for _, id := range []string{"other", "''", "a/b", "../c1", "c1/", ".", "..", "é", strings.Repeat("x", 1025)} {
			add("", strings.Replace(c.operands, "c1", id, 1))
		}
	}
	for _, o := range c.options {
		if o.name == "tty t" && r == crun {
			continue // without a terminal, it prints to the one and to the other stream
		}
		whole, cut := o.forms()
		for _, form := range whole {
			add(o.refusal(form, r), form, c.operands)
		}
		add("", c.operands, whole[0])
		for _, form := range cut {
			ours := `option "--` + strings.Fields(o.name)[0] + `" lacks its value`
			if criu {
				ours = ""
			}
			add(ours, c.operands, form)
			add(ours, form)
		}
	}
	return all
}

// refusal is what the shim says of an option before create and run.
func (o option) refusal(form string, r lowLevel) string {
	name, _, _ := strings.Cut(strings.TrimLeft(form, "-"), "=")
	name, _, _ = strings.Cut(name, " ")
	short := !strings.HasPrefix(form, "--")
	switch {
	case r == crun && short && len(name) > 1 && strings.ContainsAny(name[:1], "bcp") && o.value != "" && strings.Contains(o.name, name),
		r == crun && short && strings.HasPrefix(form, "-b="):
		return "runc and other runtimes understand it differently" // "-b", to crun, with a value
	case strings.HasPrefix(o.name, "bundle") && strings.HasSuffix(form, "/none"):
		return "/none: no such file or directory"
	}
	return ""
}
