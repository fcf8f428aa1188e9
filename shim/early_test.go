package shim

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"oci-timens/config"
	"oci-timens/internal/early"
	"oci-timens/internal/edit"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/testenv"
)

// route is what earlyRoute makes of a call, "" where it leaves it to the usual way.
func route(args, env []string) string {
	list := func(words []string) **byte {
		all := make([]*byte, len(words)+1)
		for i, w := range words {
			all[i] = unsafe.StringData(w + "\x00")
		}
		return &all[0]
	}
	p := earlyRoute(list(append([]string{"timens-runc"}, args...)), list(env))
	if p == nil {
		return ""
	}
	return string(earlyName[:bytes.IndexByte(earlyName[:], 0)])
}

// usual is what the program does otherwise, in the same process: the path and arguments of
// its exec, or nil, the environment, and its error.
func usual(t *testing.T, args, env []string) (execs [][]string, passed []string, err error) {
	t.Helper()
	for _, name := range []string{config.EnvPath, "PATH"} {
		t.Setenv(name, "") // to be restored
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	s := &shim{
		args: append([]string{"timens-runc"}, args...), stdout: io.Discard, stderr: io.Discard, facts: edit.Host,
		exec: func(path string, argv, env []string) error {
			execs, passed = append(execs, append([]string{path}, argv...)), env
			return nil
		},
	}
	_, err = s.try()
	return execs, passed, err
}

// unconfigured has earlyRoute and config.Load find the same configuration: none.
func unconfigured(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(filepath.Dir(config.DefaultPath)); err == nil {
		testenv.Lacks(t, "a machine without "+filepath.Dir(config.DefaultPath), "it is there")
	}
}

func makeProgram(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestEarly(t *testing.T) {
	unconfigured(t)
	dir := t.TempDir()
	runc, crun := filepath.Join(dir, "a/runc"), filepath.Join(dir, "b/crun")
	makeProgram(t, runc, "", 0o755)
	makeProgram(t, crun, "", 0o755)
	makeProgram(t, filepath.Join(dir, "data/runc"), "", 0o644)
	makeProgram(t, filepath.Join(dir, "folder/runc/file"), "", 0o644)
	makeProgram(t, filepath.Join(dir, "data/file"), "", 0o644)
	if err := os.Symlink("/proc/self/exe", filepath.Join(dir, "runc")); err != nil {
		t.Fatal(err)
	}
	path := func(folders ...string) string {
		return "PATH=" + strings.ReplaceAll(strings.Join(folders, ":"), "@", dir)
	}
	start := []string{"--root", "/run/x", "--log", "/l", "--log-format", "json", "--systemd-cgroup", "start", "c1"}
	for name, tt := range map[string]struct {
		args, env []string
		want      string
	}{
		"as containerd":      {start, []string{"A=1", path("@/a"), "B=2"}, runc},
		"as podman":          {[]string{"--root=/r", "--log-format=json", "--log=/l", "kill", "--all", "c1", "9"}, []string{path("@/a")}, runc},
		"create":             {[]string{"create", "c1"}, []string{path("@/a")}, ""},
		"create behind":      {[]string{"--root", "start", "create", "c1"}, []string{path("@/a")}, ""},
		"features":           {[]string{"features"}, []string{path("@/a")}, ""},
		"checkpoint":         {[]string{"checkpoint", "c1"}, []string{path("@/a")}, ""},
		"a command of ours":  {[]string{"run", "start"}, []string{path("@/a")}, ""},
		"no command":         {[]string{"--root", "start"}, []string{path("@/a")}, ""},
		"no value":           {[]string{"--root"}, []string{path("@/a")}, ""},
		"nothing":            {nil, []string{path("@/a")}, ""},
		"another option":     {[]string{"--rootless", "start", "start"}, []string{path("@/a")}, ""},
		"an end of options":  {[]string{"--", "start"}, []string{path("@/a")}, ""},
		"spaces":             {[]string{" start", "c1"}, []string{path("@/a")}, ""},
		"a configuration":    {start, []string{path("@/a"), "TIMENS_CONFIG=/none"}, ""},
		"no folder":          {start, []string{"PATH="}, ""},
		"two PATHs":          {start, []string{path("@/a"), path("@/b")}, ""},
		"relative folders":   {start, []string{path("", "a", "../x//y", "@/none", "@/a")}, ""}, // for the "//"
		"passed over":        {start, []string{path("", "a", ".", "@/none", "@/data", "@/folder", "@/data/file", "@/a", "")}, runc},
		"runc before crun":   {start, []string{path("@/b", "@/a")}, runc},
		"crun":               {start, []string{path("@/b")}, crun},
		"this program":       {start, []string{path("@", "@/a")}, ""},
		"to be cleaned":      {start, []string{path("@/./a")}, ""},
		"to be cleaned, too": {start, []string{path("@/a/")}, ""},
		"a long folder":      {start, []string{path("@/a", "/"+strings.Repeat("x", 4090))}, runc},
		"a longer one":       {start, []string{path("/"+strings.Repeat("x", 5000), "@/a")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := route(tt.args, tt.env); got != tt.want {
				t.Errorf("handed on to %q, want %q", got, tt.want)
			}
			compareEarly(t, tt.args, tt.env)
		})
	}
}

// compareEarly wants what is handed on early to be handed on likewise otherwise.
func compareEarly(t *testing.T, args, env []string) {
	t.Helper()
	to := route(args, env)
	if to == "" {
		return
	}
	execs, passed, err := usual(t, args, env)
	if d := cmp.Diff([][]string{append([]string{to, to}, args...)}, execs); d != "" || err != nil {
		t.Errorf("%q with %q: handed on early, and otherwise not so: %v\n%s", args, env, err, d)
	}
	for _, v := range env {
		if !slices.Contains(passed, v) {
			t.Errorf("%q with %q: otherwise handed on without %q", args, env, v)
		}
	}
}

// TestEarlyFacts holds what is written down twice against where it is decided.
func TestEarlyFacts(t *testing.T) {
	facts := []string{earlyFile, earlyDir, earlyParts}
	want := []string{config.DefaultPath + "\x00", filepath.Dir(config.DefaultPath) + "\x00", filepath.Join(filepath.Dir(config.DefaultPath), config.DropIns) + "\x00"}
	for _, r := range earlyRuntimes {
		facts = append(facts, r)
	}
	for _, r := range config.Default().Runtimes {
		want = append(want, "/"+r+"\x00")
	}
	facts, want = append(facts, earlyPath), append(want, lowlevel.DefaultPath+"\x00")
	if d := cmp.Diff(want, facts); d != "" {
		t.Error(d)
	}
	for _, r := range earlyRuntimes {
		if len(r) > 16 {
			t.Errorf("%q is too long for earlyName", r)
		}
	}
}

// TestEarlyConfigured tries what may be where a configuration is.
func TestEarlyConfigured(t *testing.T) {
	dir := t.TempDir()
	place := []*string{&earlyDir, &earlyFile, &earlyParts}
	for i, name := range []string{"etc", "etc/config.toml", "etc/config.d"} {
		was := *place[i]
		*place[i] = filepath.Join(dir, name) + "\x00"
		t.Cleanup(func() { *place[i] = was })
	}
	makeProgram(t, filepath.Join(dir, "bin/runc"), "", 0o755)
	etc := filepath.Join(dir, "etc")
	for _, tt := range []struct {
		name string
		make func() error
		want bool
	}{
		{"nothing", func() error { return nil }, true},
		{"a folder", func() error { return os.Mkdir(etc, 0o755) }, true},
		{"a file", func() error { return os.WriteFile(etc, nil, 0o644) }, false},
		{"a file in it", func() error { return os.MkdirAll(etc+"/config.toml", 0o755) }, false},
		{"a link to nothing", func() error { os.Mkdir(etc, 0o755); return os.Symlink("none", etc+"/config.toml") }, false},
		{"drop-ins", func() error { return os.MkdirAll(etc+"/config.d", 0o755) }, false},
		{"a circle", func() error { return os.Symlink("etc", etc) }, false},
	} {
		if err := os.RemoveAll(etc); err != nil {
			t.Fatal(err)
		}
		if err := tt.make(); err != nil {
			t.Fatal(err)
		}
		if got := route([]string{"start", "c1"}, []string{"PATH=" + dir + "/bin"}); (got != "") != tt.want {
			t.Errorf("%s: handed on to %q, want that: %v", tt.name, got, tt.want)
		}
	}
}

// TestEarlyLeaves has a call left to the usual way: one that is not handed on, and one whose
// runtime cannot be started.
func TestEarlyLeaves(t *testing.T) {
	unconfigured(t)
	dir := t.TempDir()
	makeProgram(t, filepath.Join(dir, "runc"), "no program", 0o755)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, command := range []string{"create", "start"} {
		words := []string{"timens-runc\x00", command + "\x00", "PATH=" + dir + "\x00", "GOMAXPROCS=1\x00"}
		address := func(i int) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(words[i]))) }
		stack := []uintptr{2, address(0), address(1), 0, address(2), address(3), 0}
		was := slices.Clone(stack)
		earlyName[0] = 0
		at := earlyEntry(&stack[0])
		early.Undo()
		if at != &stack[0] || !slices.Equal(stack, was) {
			t.Errorf("%s: the stack was %x, and is %x", command, was, stack)
		}
		if tried := earlyName[0] != 0; tried != (command == "start") {
			t.Errorf("%s: a runtime was looked for: %v", command, tried)
		}
		runtime.KeepAlive(words)
	}
}

// FuzzEarly compares with the usual way, which decides.
func FuzzEarly(f *testing.F) {
	unconfigured(f)
	dir := f.TempDir()
	makeProgram(f, filepath.Join(dir, "a/runc"), "", 0o755)
	makeProgram(f, filepath.Join(dir, "b/crun"), "", 0o755)
	if err := os.Symlink("/proc/self/exe", filepath.Join(dir, "runc")); err != nil {
		f.Fatal(err)
	}
	f.Add("--root\n/r\n--log=\nstart\nc1", "@/b:@/a", "A=1")
	f.Add("--systemd-cgroup\nkill\nc1\nKILL", ":a::@/none:@/b:", "PATHS=x")
	f.Add("start\n--bundle\ncreate", "@", "TIMENS_CONFIG=")
	f.Add("--debug\ndelete\n--force\nc1", "@/a/../b", "PATH=/")
	f.Fuzz(func(t *testing.T, line, path, more string) {
		for _, s := range []*string{&line, &path, &more} {
			*s = strings.ReplaceAll(*s, "\x00", "") // which would end it
		}
		name, _, ok := strings.Cut(more, "=")
		if !ok || name == "" {
			more = "A=" + more
		}
		env := []string{"PATH=" + strings.ReplaceAll(path, "@", dir), more}
		if name == "PATH" {
			env = env[:1] // two of them: TestEarly
		}
		compareEarly(t, strings.Split(line, "\n"), env)
	})
}

// TestEarlyStart starts the program as it is released. That a signal stays ignored which Go's
// start would have reset shows which way was gone. What that start was given goes no further.
func TestEarlyStart(t *testing.T) {
	unconfigured(t)
	dir, slack := t.TempDir(), strconv.Itoa(timerSlack(t))
	program := filepath.Join(dir, "timens-runc")
	readSources(t)
	build := exec.Command("go", "build", "-ldflags=-E=_rt0_timens_runc", "-o", program, "../cmd/timens-runc")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	runc := filepath.Join(dir, "bin/runc")
	makeProgram(t, runc, `#!/bin/sh
echo "$0 $*"
read slack < /proc/$$/timerslack_ns
echo $slack $GOMAXPROCS
if [ "$1" = features ]; then
	for task in /proc/$PPID/task/*; do /bin/cat /proc/${task##*/}/timerslack_ns; done >&2
fi
trap - TERM
kill -TERM $$
echo ignored
`, 0o755)
	makeProgram(t, filepath.Join(dir, "broken/runc"), "no program", 0o755)
	makeProgram(t, filepath.Join(dir, "config.toml"), "runtimes = [\""+runc+"\"]\n", 0o644)
	makeProgram(t, filepath.Join(dir, "none/config.json"), "{}", 0o644)
	path, config := "PATH="+dir+"/bin", "TIMENS_CONFIG="+dir+"/config.toml"
	for _, tt := range []struct{ name, env, args, want string }{
		{"early", path, "--root /r start c1", runc + " --root /r start c1\n" + slack + "\nignored\n"},
		{"early, create", path, "create --bundle " + dir + "/none c1", runc + " create --bundle " + dir + "/none c1\n" + slack + "\nignored\n"},
		{"configured", config, "--root /r start c1", runc + " --root /r start c1\n" + slack + "\n"},
		{"two processors", config + " GOMAXPROCS=2", "--root /r start c1", runc + " --root /r start c1\n" + slack + " 2\n"},
		{"not early", path, "features", runc + " features\n" + slack + "\n"},
		{"no program", "PATH=" + dir + "/broken", "start c1", "timens-runc: exec " + dir + "/broken/runc: exec format error\n"},
		{"none", "PATH=" + dir + "/none", "start c1", "timens-runc: no low-level runtime found: looked for"},
	} {
		cmd := exec.Command("env", slices.Concat([]string{"--ignore-signal=TERM", "-i"}, strings.Fields(tt.env), []string{program}, strings.Fields(tt.args))...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		if got := string(out) + stderr.String(); !strings.HasPrefix(got, tt.want) || strings.HasSuffix(got, "ignored\n") != strings.HasPrefix(tt.name, "early") {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if threads := strings.Fields(stderr.String()); tt.name == "not early" && os.Getuid() == 0 &&
			(len(threads) < 2 || threads[0] != slack || !slices.Contains(threads[1:], "4000000")) {
			t.Errorf("%s: the timer slacks of the threads were %q", tt.name, threads)
		}
	}
}

// readSources has "go test" know that what it remembers of a test is old when these change.
func readSources(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"*.s", "../internal/early/*", "../cmd/timens-runc/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		for _, f := range files {
			if _, err := os.ReadFile(f); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func timerSlack(t *testing.T) int {
	t.Helper()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return slack
}
