package transparent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// variant is one way to run the same command lines.
type variant struct {
	name    string
	shimmed bool
	early   bool   // without configuration, and with the runtime in PATH: see shim/early.go
	toml    string // more of the shim's configuration
}

const shift = 10 * 24 * time.Hour

var variants = []variant{
	{name: "bare"},
	{name: "shim", shimmed: true},
	{name: "early", shimmed: true, early: true},
	{name: "shifted", shimmed: true, toml: "[defaults]\nmonotonic = \"+10d\"\nboottime = \"+10d\"\n"},
}

// world is what one scenario has to itself: a folder with a bundle, and all processes.
type world struct {
	t       *testing.T
	r       lowLevel
	v       variant
	dir     string
	env     []string
	config  string // config.json as it was written here
	console string // the file that a detached container writes to
	modes   string // of the container's program
	entries []*entry
	masked  bool
	outputs int
	signals int // that the container has told of
}

// entry is what was seen of one command line.
type entry struct {
	title    string
	out, err string // files
	text     string
	failed   bool
	refused  bool // by the shim, in the runtime's place
	mask     bool // numbers are of the moment
}

// same runs a scenario in each variant, and compares. Whatever it fails for is the
// variant's fault.
func same(t *testing.T, r lowLevel, scenario func(w *world)) {
	t.Helper()
	r.need(t)
	var want []result
	for _, v := range variants {
		if v.early && r != observer() {
			continue // what is handed on is the same for all
		}
		w := &world{t: t, r: r, v: v, dir: filepath.Join(base, "world")}
		w.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", w.variable() + filepath.Join(base, "timens.toml")}
		if r == observer() {
			w.env[0] = "PATH=" + filepath.Dir(r.path) + ":" + os.Getenv("PATH")
		}
		out := filepath.Join(base, "out")
		if err := errors.Join(os.RemoveAll(out), os.Mkdir(out, 0o755)); err != nil {
			t.Fatal(err)
		}
		toml := fmt.Sprintf("runtimes = [%q]\n%s", r.path, v.toml)
		if err := os.WriteFile(filepath.Join(base, "timens.toml"), []byte(toml), 0o644); err != nil {
			t.Fatal(err)
		}
		w.renew(nil)
		scenario(w)
		w.end()
		got := w.texts()
		if v.shimmed {
			compare(t, v.name, want, got)
		} else {
			want = got
		}
		if t.Failed() {
			return
		}
	}
}

// configVariable names the configuration. notConfig names nothing, and is a permutation of it,
// as shells sort variables by a sum of their letters.
const configVariable, notConfig = "TIMENS_CONFIG=", "TIMENS_CONFGI="

func (w *world) variable() string {
	if w.v.early {
		return notConfig
	}
	return configVariable
}

// end ends all processes and removes all files.
func (w *world) end() {
	w.t.Helper()
	endAll()
	if err := removeCgroups(); err != nil {
		w.t.Fatal(err)
	}
	w.unmount()
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Fatal(err)
	}
}

// unmount makes sure that nothing of the machine is mounted in the folder when it is
// removed: a runtime may have failed half way, with a container that shares our mounts.
func (w *world) unmount() {
	w.t.Helper()
	text := w.read("/proc/self/mountinfo")
	lines := strings.Split(text, "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], w.dir+"/") {
			if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil {
				w.t.Fatalf("unmounting %s: %v", f[4], err)
			}
		}
	}
	if strings.Contains(w.read("/proc/self/mountinfo"), w.dir+"/") {
		w.t.Fatalf("something is still mounted in %s", w.dir)
	}
}

// renew is a new beginning with another container, which edit changes. Its program has
// the mode that args name, and otherwise reports and ends with status 5.
func (w *world) renew(edit func(*specs.Spec), args ...string) {
	w.t.Helper()
	w.end()
	if len(args) == 0 {
		args = []string{"exit", "5"}
	}
	w.modes, w.console = args[0], ""
	s := newSpec(args)
	if edit != nil {
		edit(s)
	}
	for _, d := range []string{"root", "empty", "bundle/rootfs/proc", "bundle/rootfs/dev", "bundle/rootfs/sys", "bundle/rootfs/etc"} {
		if err := os.MkdirAll(filepath.Join(w.dir, d), 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, name := range []string{"tell", "probe"} {
		if err := os.Link(filepath.Join(base, "bin", name), w.path("bundle/rootfs/"+name)); err != nil {
			w.t.Fatal(err)
		}
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		w.t.Fatal(err)
	}
	w.setConfig(string(text))
}

func (w *world) setConfig(text string) {
	w.t.Helper()
	w.config = text
	w.write("bundle/config.json", text)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// words splits a command line. "@" is the world's folder, ” an empty word, and without
// "!" in front the runtime is told where to keep its containers.
func (w *world) words(line string) []string {
	rest, alone := strings.CutPrefix(line, "!")
	args := strings.Fields(strings.ReplaceAll(rest, "@", w.dir))
	for i := range args {
		if args[i] == "''" {
			args[i] = ""
		}
	}
	if !alone {
		args = append([]string{"--root", w.path("root")}, args...)
	}
	return args
}

// command is a call of the runtime, or of the shim in its place.
func (w *world) command(args []string) *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command(w.r.path, args...)
	if w.v.shimmed {
		cmd.Path = filepath.Join(base, "bin/timens-runc")
		cmd.Args[0] = cmd.Path
	}
	cmd.Env, cmd.Dir = w.env, w.path("bundle")
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// outFile is where one stream of a command goes. It is not compared as a file.
func (w *world) outFile() *os.File {
	w.t.Helper()
	w.outputs++
	f, err := os.OpenFile(filepath.Join(base, "out", fmt.Sprint(w.outputs)), os.O_CREATE|os.O_RDWR|os.O_APPEND|os.O_EXCL, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (w *world) read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return string(text)
}

// waitFor is for what takes no longer than a busy machine needs.
func (w *world) waitFor(what string, done func() bool) {
	w.t.Helper()
	for limit := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			w.t.Fatalf("%s: waited 20 s for %s", w.v.name, what)
		}
	}
}

// reap waits for a process that is this one's child by now.
func (w *world) reap(pid int) {
	w.t.Helper()
	var status unix.WaitStatus
	w.waitFor("a process to end", func() bool {
		got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
		if err != nil && err != unix.EINTR {
			w.t.Fatalf("waiting for %d: %v", pid, err)
		}
		return got == pid
	})
	w.note("reaped", fmt.Sprintf("wait status %#x", status))
}
