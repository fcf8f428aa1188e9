package transparent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// observer stands for the runtime, and tells what it was handed: see tell/tell.c.
func observer() lowLevel {
	return lowLevel{"tell", filepath.Join(base, "bin/observer/runc"), "runc version 1.5.2"}
}

// toldTo is the file that it writes to, in a folder for all users.
func toldTo() string { return filepath.Join(base, "reports/told") }

// told runs a line with the observer as the runtime, and notes what it tells: every word
// of it comes from the same process, which has become the observer.
func (w *world) told(c call, before ...string) {
	w.t.Helper()
	report := toldTo()
	cmd := w.command(w.words(c.line))
	for i := range before {
		before[i] = strings.Replace(before[i], configVariable, w.variable(), 1)
	}
	if len(before) > 0 {
		path, err := exec.LookPath(before[0])
		if err != nil {
			w.t.Fatal(err)
		}
		cmd.Path, cmd.Args = path, append(before, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	}
	cmd.Env = append(cmd.Env, "TELL_TO="+report)
	if c.set != nil {
		c.set(cmd)
	}
	var said strings.Builder
	cmd.Stderr = &said
	err := cmd.Run()
	pid, status := cmd.Process.Pid, cmd.ProcessState.ExitCode()
	e := &entry{title: strings.TrimSpace(strings.Replace(strings.Join(before, " ")+" "+c.line, notConfig, configVariable, 1))}
	w.entries = append(w.entries, e)
	if ours := w.ours(c); ours != "" {
		if !strings.HasPrefix(said.String(), "timens-runc: ") || !strings.Contains(said.String(), ours) || status != 1 {
			w.t.Errorf("%s: exit %d, %q, want %q", e.title, status, &said, ours)
		}
		e.refused = true
		return
	}
	// The runtime might do with it what it likes.
	e.failed = true
	text := w.read(report)
	if status != 42 || !strings.Contains(text, fmt.Sprintf("\npid: %d\nparent: %d\n", pid, os.Getpid())) {
		w.t.Errorf("%s: %s: process %d, exit %d, %v, %s%s", w.v.name, e.title, pid, status, err, &said, text)
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	if err := os.Remove(report); err != nil {
		w.t.Error(err)
	}
	e.add("told", strings.Replace(text, notConfig, configVariable, 1))
}

// TestArguments hands every line of the other tests on, with all that a process inherits.
func TestArguments(t *testing.T) {
	count := 0
	same(t, observer(), func(w *world) {
		count = 0
		for _, c := range commands {
			if c.name == "features" { // which the shim runs as a child, to add to what it prints
				continue
			}
			for _, l := range c.calls(runc) {
				if !l.criu { // which a checkpoint and a restore are not handed on without
					w.told(l)
					count++
				}
			}
		}
		for _, line := range globals() {
			if line != "!--version" && line != "!-version" { // answered here as by a runtime
				w.told(call{line: line})
				count++
			}
		}
	})
	t.Logf("%d command lines", count)
}

// TestInheritance begins the runtime in every state that a process can hand on.
func TestInheritance(t *testing.T) {
	shell := func(script string) []string { return []string{"sh", "-c", script + `; exec "$@"`, "sh"} }
	for name, c := range map[string]struct {
		before []string
		set    func(*exec.Cmd)
		lost   string // what Go's own start takes away, in what lines
	}{
		"nothing":             {},
		"umask":               {before: shell("umask 077")},
		"limits":              {before: []string{"prlimit", "--nofile=256:512", "--core=0", "--stack=1048576:2097152", "--nproc=4000:5000", "--"}},
		"few files":           {before: shell("ulimit -n 32")},
		"nice":                {before: []string{"nice", "-n", "5"}},
		"batch":               {before: []string{"chrt", "-b", "0"}},
		"idle":                {before: []string{"ionice", "-c3"}},
		"one CPU":             {before: []string{"taskset", "-c", "0"}},
		"personality":         {before: []string{"setarch", "-R"}},
		"no new privileges":   {before: []string{"setpriv", "--no-new-privs", "--"}},
		"capabilities":        {before: []string{"setpriv", "--bounding-set=-sys_time,-sys_admin", "--inh-caps=-all", "--"}},
		"ambient":             {before: []string{"setpriv", "--inh-caps=+kill", "--ambient-caps=+kill", "--"}},
		"another user":        {before: []string{"setpriv", "--reuid=65534", "--regid=65534", "--groups=7,8", "--"}},
		"secure bits":         {before: []string{"setpriv", "--securebits=+noroot,+noroot_locked", "--"}},
		"death signal":        {before: []string{"setpriv", "--pdeathsig=TERM", "--"}},
		"killed first":        {before: []string{"choom", "-n", "500", "--"}},
		"ignored HUP and INT": {before: []string{"env", "--ignore-signal=HUP", "--ignore-signal=INT"}},
		"ignored TERM":        {before: []string{"env", "--ignore-signal=TERM"}, lost: "SigIgn"},
		"ignored PIPE":        {before: []string{"env", "--ignore-signal=PIPE"}, lost: "SigIgn"},
		"blocked USR1":        {before: []string{"env", "--block-signal=USR1", "--block-signal=RTMIN+3"}},
		"blocked SEGV":        {before: []string{"env", "--block-signal=SEGV"}, lost: "SigBlk"},
		"a session":           {set: func(c *exec.Cmd) { c.SysProcAttr = &unix.SysProcAttr{Setsid: true} }},
		"a process group":     {set: func(c *exec.Cmd) { c.SysProcAttr = &unix.SysProcAttr{Setpgid: true} }},
		"no environment": {before: []string{"env", "-i", "TELL_TO=" + toldTo(), configVariable + filepath.Join(base, "timens.toml"),
			"PATH=" + filepath.Dir(observer().path)}},
		"an odd environment": {set: func(c *exec.Cmd) {
			c.Env = append(c.Env, "A=", "B==", "=C", "D", "É=é", "LONG="+strings.Repeat("x", 100000))
		}},
		"Go's environment": {set: func(c *exec.Cmd) {
			c.Env = append(c.Env, "GODEBUG=gctrace=0", "GOGC=7", "GOMAXPROCS=1", "GOTRACEBACK=all")
		}},
		"another timer slack":   {before: shell("echo 123456 >/proc/self/timerslack_ns")},
		"input":                 {set: func(c *exec.Cmd) { c.Stdin = strings.NewReader("text") }},
		"no input":              {before: shell("exec <&-"), lost: "fd 0"},
		"no output":             {before: shell("exec >&- 2>&-"), lost: "fd "},
		"a folder that is gone": {before: shell("mkdir ../gone && cd ../gone && rmdir ../gone")},
		"files":                 {set: openFiles},
		"a fixed number":        {before: shell("exec 9</etc/passwd 8<>/dev/null")},
	} {
		t.Run(name, func(t *testing.T) {
			kept := map[string]string{}
			same(t, observer(), func(w *world) {
				lines := []string{"start c1", "create --bundle @/bundle c1", "create -b @/bundle c1"}
				if name == "another user" {
					lines = lines[:1] // to whom the bundle does not belong
				}
				for i, line := range lines {
					w.told(call{line: line, set: c.set}, slices.Clone(c.before)...)
					lost := w.forget(c.lost)
					if i < 2 && w.v.early && lost != kept[line] {
						t.Errorf("%s: handed on before Go has started, and lost: %q, want %q", line, lost, kept[line])
					} else if !w.v.shimmed {
						kept[line] = lost
					}
				}
			})
		})
	}
}

// forget takes lines out of the last entry that cannot be handed on, and returns them.
func (w *world) forget(what string) (lost string) {
	e := w.entries[len(w.entries)-1]
	var kept []string
	for line := range strings.Lines(e.text) {
		if what == "" || !strings.Contains(line, what) {
			kept = append(kept, line)
		} else {
			lost += line
		}
	}
	e.text = strings.Join(kept, "")
	return lost
}

// openFiles opens files of all kinds, one of them at some place.
func openFiles(c *exec.Cmd) {
	regular, err := os.Open("/proc/self/exe")
	if err == nil {
		_, err = regular.Seek(77, 0)
	}
	if err != nil {
		panic(err)
	}
	folder, _ := os.Open("/")
	r, w, _ := os.Pipe()
	pair, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	path, _ := unix.Open("/proc", unix.O_PATH|unix.O_CLOEXEC, 0)
	c.ExtraFiles = []*os.File{regular, folder, r, w, os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket"), os.NewFile(uintptr(path), "path")}
}
