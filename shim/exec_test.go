package shim

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"oci-timens/config"
	"oci-timens/internal/testenv"
)

// The test binary is the shim as well, under another name.
func init() {
	if filepath.Base(os.Args[0]) == "timens-runc" {
		os.Exit(Main(os.Args))
	}
}

// The runtime is a shell script, because Go changes what is looked at here.
const inheriting = `#!/bin/sh
[ "$2" = "exit" ] && exit 42
echo "arguments $*"
echo "variable $SHIM_TEST"
echo "stdin $(cat)"
cd /proc/$$/fd && echo "files" [3-9]
echo "limit $(ulimit -S -n)"
exec setpriv --dump
`

// What the runtime gets from the engine is what it would get without the shim in
// between. It is compared with a direct start, the two in the same way. Signals
// that Go itself resets are not among it: see Main.
func TestRuntimeInherits(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil {
		testenv.Lacks(t, "setpriv", err)
	}
	dir := t.TempDir()
	runc, shim, conf := filepath.Join(dir, "runc"), filepath.Join(dir, "timens-runc"), filepath.Join(dir, "config.toml")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(runc, []byte(inheriting), 0o755), os.Symlink(self, shim)); err != nil {
		t.Fatal(err)
	}
	// The death signal is about the thread that starts the child, so it must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := func(program string, args ...string) (string, error) {
		cmd := exec.Command("sh", append([]string{"-c",
			`ulimit -S -n 300; exec env --ignore-signal=HUP,INT --block-signal=USR1 "$@"`, "sh", program}, args...)...)
		cmd.Env = append(os.Environ(), "SHIM_TEST=kept", config.EnvPath+"="+conf)
		cmd.Stdin = strings.NewReader("from the engine")
		cmd.ExtraFiles = []*os.File{os.Stdin, nil, os.Stdin}
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	tests := []struct {
		runtime string
		args    []string
		want    []string
	}{
		{runc, []string{"state", "c 1"}, []string{"arguments state c 1\n", "variable kept\n", "stdin from the engine\n", "files 3 4 5\n",
			"limit 300\n", "Parent death signal: KILL\n"}},
		// A shell unblocks its signals. Who starts the test may ignore more of them: glibc's
		// posix_spawn, in make, leaves 32 so.
		{"/bin/grep", []string{"^Sig[BI]", "/proc/self/status"}, []string{"SigBlk:\t0000000000000200\n", "0000003\n"}},
	}
	for _, tt := range tests {
		if err := os.WriteFile(conf, []byte("runtimes = [\""+tt.runtime+"\"]"), 0o644); err != nil {
			t.Fatal(err)
		}
		want, err := start(tt.runtime, tt.args...)
		if err != nil {
			t.Fatal(err, want)
		}
		for _, s := range tt.want {
			if !strings.Contains(want, s) {
				t.Errorf("a direct start does not show %q:\n%s", s, want)
			}
		}
		got, err := start(shim, tt.args...)
		if err != nil {
			t.Fatal(err, got)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("through the shim: -direct +shim:\n%s", d)
		}
	}
	var exit *exec.ExitError
	if err := os.WriteFile(conf, []byte("runtimes = [\""+runc+"\"]"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := start(shim, "state", "exit"); !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Errorf("exit status: %v, %s", err, out)
	}
}
