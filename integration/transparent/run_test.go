package transparent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// call is one command line, with what is to differ.
type call struct {
	line    string
	ours    string          // what the shim says of a line that the runtime refuses in other words
	shifted string          // the same of a line that it refuses with defaults alone
	criu    bool            // without CRIU the shim refuses it
	alone   bool            // it leaves no process behind but init, after a while
	mask    bool            // the numbers in what is printed are of the moment
	set     func(*exec.Cmd) // files, environment, folder
}

// run runs a command line to its end.
func (w *world) run(line string) int { return w.do(call{line: line}) }

func (w *world) do(c call) int {
	w.t.Helper()
	had := w.initPID() != 0
	cmd, e := w.start(c)
	status := w.finish(cmd, e)
	if !had && w.initPID() != 0 {
		w.console = e.out
	}
	w.settle()
	if strings.HasPrefix(c.line, "exec ") && strings.HasSuffix(c.line, "inside hold") && status == 0 {
		w.waitFor("the program of exec", func() bool { return strings.Contains(w.read(e.out), "ready\n") })
	}
	if c.alone {
		init := w.initPID()
		w.waitFor("other processes than init to end", func() bool {
			return !slices.ContainsFunc(list(), func(p process) bool { return p.pid != init && state(p.pid) != "Z" })
		})
	}
	if c.criu && w.v.shimmed && strings.HasPrefix(w.read(e.err), "timens-runc: CRIU is missing: ") {
		c.ours = "CRIU is missing"
	}
	if ours := w.ours(c); ours != "" {
		w.expectRefusal(e, status, ours)
	}
	w.look(e)
	return status
}

// start begins a command line; finish waits for its end.
func (w *world) start(c call) (*exec.Cmd, *entry) {
	w.t.Helper()
	cmd := w.command(w.words(c.line))
	out, errs := w.outFile(), w.outFile()
	defer out.Close()
	defer errs.Close()
	cmd.Stdout, cmd.Stderr = out, errs
	if c.set != nil {
		c.set(cmd)
	}
	e := &entry{title: c.line, out: out.Name(), err: errs.Name(), mask: c.mask || w.masked}
	w.entries = append(w.entries, e)
	if err := cmd.Start(); err != nil {
		w.t.Fatalf("%s: %s: %v", w.v.name, c.line, err)
	}
	return cmd, e
}

func (w *world) finish(cmd *exec.Cmd, e *entry) int {
	w.t.Helper()
	limit := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	limit.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%s: %s: %v", w.v.name, e.title, err)
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	e.add("ended", fmt.Sprintf("%#x", uint32(status)))
	e.failed = status != 0
	return cmd.ProcessState.ExitCode()
}

// ours is how the shim, if this is it, is to refuse a call.
func (w *world) ours(c call) string {
	switch {
	case !w.v.shimmed:
		return ""
	case c.shifted != "" && w.v.name == "shifted":
		return c.shifted
	}
	return c.ours
}

func (w *world) expectRefusal(e *entry, status int, text string) {
	w.t.Helper()
	e.refused = true
	said := w.read(e.err)
	if status != 1 || !strings.HasPrefix(said, "timens-runc: ") || !strings.Contains(said, text) || strings.Count(said, "\n") != 1 || w.read(e.out) != "" {
		w.t.Errorf("%s: %s: exit %d, %q, want one line with %q", w.v.name, e.title, status, said, text)
	}
}

// statePID finds the container's init in what runc or crun keep of it.
var statePID = regexp.MustCompile(`"(?:init_process_pid|pid)": ?(\d+)`)

func (w *world) initPID() int {
	for _, name := range []string{"root/c1/state.json", "root/c1/status"} {
		if m := statePID.FindStringSubmatch(w.read(w.path(name))); m != nil {
			pid, _ := strconv.Atoi(m[1])
			return pid
		}
	}
	return 0
}

// settle waits until a container that was started has got as far as it gets by itself.
func (w *world) settle() {
	w.t.Helper()
	pid := w.initPID()
	w.waitFor("the runtime to have left its container alone", func() bool { // crun lets a child of its own do that
		s, parent := statFields(pid)
		return s == "" || parent == os.Getpid()
	})
	if _, err := os.Lstat(w.path("root/c1/exec.fifo")); err == nil || pid == 0 || w.console == "" {
		return // none, or not started
	}
	if w.modes == "hold" || w.modes == "exit" {
		w.waitFor("the container's program", func() bool { return strings.Contains(w.read(w.console), "ready\n") })
	}
	if w.modes == "terminal" {
		w.waitFor("the container's program", func() bool {
			exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			return exe == "/tell"
		})
	}
	if w.modes == "exit" {
		w.waitFor("the container's end", func() bool { s := state(pid); return s == "Z" || s == "" })
	}
}

// look notes what there is now: files, processes, cgroups.
func (w *world) look(e *entry) {
	w.t.Helper()
	pid := w.initPID()
	if strings.HasSuffix(e.title, "kill c1 KILL") && !e.failed {
		w.waitFor("the container's end", func() bool { s := state(pid); return s == "Z" || s == "" })
	}
	w.waitFor("the freezer", func() bool { return !strings.Contains(cgroupText(), "FREEZING") })
	reapOthers(pid)
	e.add("processes", w.processes())
	if !e.refused { // it may have written to the log that the line names
		e.add("files", w.files())
	}
	e.add("cgroups", cgroupText())
	if text := w.read(w.path("bundle/config.json")); w.v.name == "shim" && text != w.config {
		w.t.Errorf("%s: config.json is not to the byte what it was: %s", e.title, text)
	}
}

// note enters something that is no command line.
func (w *world) note(title, text string) {
	e := &entry{title: title}
	e.add("seen", text)
	w.entries = append(w.entries, e)
}

func (e *entry) add(what, text string) {
	e.text += what + ": " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+what+": ") + "\n"
}

// result is an entry that is ready to be compared.
type result struct {
	title           string
	lines           []string
	failed, refused bool
}

// texts reads what all command lines have written, now that nobody does any more.
func (w *world) texts() (all []result) {
	for _, e := range w.entries {
		if e.out != "" {
			out := w.read(e.out)
			if strings.HasPrefix(e.title, "features") {
				out = withoutOurs(out)
			}
			e.add("stdout", out)
			e.add("stderr", retries.ReplaceAllString(w.read(e.err), ""))
		}
		all = append(all, result{e.title, strings.Split(normal(e.text, e.mask), "\n"), e.failed, e.refused})
	}
	return all
}

var (
	// All processes have numbers between 20000 and pid_max; see endAll.
	pidNumber  = regexp.MustCompile(`\b(2[0-9]|3[0-2])[0-9]{3}\b`)
	innerPID   = regexp.MustCompile(`(?m)^(stdout: pid: )([2-9]|[0-9]{2,})$`) // of exec
	inode      = regexp.MustCompile(`(pipe|socket):\[[0-9]+\]`)
	address    = regexp.MustCompile(`\b0x[0-9a-f]+`) // in what runc says when it panics
	counters   = regexp.MustCompile(`("type":"stats".*"data":).*`)
	retries    = regexp.MustCompile(`(?m)^.*Failed to remove cgroup \(will retry\).*\n`) // on a busy machine
	timeOfDay  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	number     = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)
	spaces     = regexp.MustCompile(` {2,}`)
	mountStart = regexp.MustCompile(`(?m)(/proc/self/mountinfo) \d+ \d+ \d+:\d+`)
	startTicks = regexp.MustCompile(`("(?:init_process_start|process-start-time)": ?)\d+`)
)

// normal takes out what differs by moment.
func normal(text string, mask bool) string {
	text = mountStart.ReplaceAllString(text, "$1")
	text = startTicks.ReplaceAllString(text, "${1}0")
	text = innerPID.ReplaceAllString(text, "${1}of exec")
	text = inode.ReplaceAllString(text, "$1:[]")
	text = address.ReplaceAllString(text, "0x")
	text = counters.ReplaceAllString(text, "$1")
	text = timeOfDay.ReplaceAllString(text, "TIME")
	text = pidNumber.ReplaceAllString(text, "PID")
	if mask {
		text = number.ReplaceAllString(text, "N")
		return spaces.ReplaceAllString(text, " ") // columns are as wide as their numbers
	}
	return spaces.ReplaceAllString(text, "  ")
}

// signal sends one to a process that this test has started.
func (w *world) signal(pid int, s unix.Signal) {
	w.t.Helper()
	if err := unix.Kill(pid, s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) last() *entry { return w.entries[len(w.entries)-1] }

// awaitSignals waits until the container has told of one more signal.
func (w *world) awaitSignals() {
	w.t.Helper()
	w.signals++
	w.waitFor("a signal to arrive", func() bool { return strings.Count(w.read(w.console), "signal ") >= w.signals })
}
