package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHostileEnvironment gives the runtime, the shim and the hook an environment that no
// engine should have. Nothing in it changes what a container gets.
func TestHostileEnvironment(t *testing.T) {
	trap := filepath.Join(base, "trap")
	if err := os.Mkdir(trap, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(trap) })
	sprung := filepath.Join(trap, "sprung")
	for _, name := range []string{"runc", "crun", "youki", "timens-hook", "timens-runc", "criu", "unshare", "nsenter", "uname", "sh"} {
		if err := os.WriteFile(filepath.Join(trap, name), []byte("#!/bin/sh\necho $0 $* >>"+sprung+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	hostile := []string{
		"GODEBUG=madvdontneed=1,asyncpreemptoff=1,netdns=cgo,execerrdot=0,panicnil=1", "GOTRACEBACK=crash", "GOGC=1", "GOMEMLIMIT=1B", "GOMAXPROCS=1",
		"GOCOVERDIR=" + trap, "GORACE=halt_on_error=1", "LD_LIBRARY_PATH=" + trap, "LD_BIND_NOT=1", "BASH_ENV=" + sprung, "ENV=" + sprung, "IFS=/",
		"TIMENS_TEST_KILL_AT=unshared", "TIMENS_RUNTIMES=/bin/false", "TIMENS_POLICY=", "CRIU_CONFIG_FILE=/dev/zero",
		"HOME=/nonexistent", "TMPDIR=/nonexistent", "TZ=:/etc/passwd", "LC_ALL=tr_TR.UTF-8", "LISTEN_PID=1", "NOTIFY_SOCKET=/nonexistent",
	}
	eachStack(t, "both clocks", func(t *testing.T, s stack) {
		c := newContainer(t, s)
		c.env = append(c.env, hostile...)
		ask(c, askMonotonic, askBoottime)
		c.prepare()
		c.env = append(c.env, "PATH="+trap+":"+os.Getenv("PATH"), "XDG_RUNTIME_DIR="+trap)
		seen := c.run()
		asked.check(t, c.created, seen)
		if left := listing(t, trap); strings.Contains(left, "sprung") || strings.Contains(left, "oci-timens") || strings.Contains(left, "cov") {
			t.Errorf("left in what everybody can write to: %s", left)
		}
	})
}

// TestWritableConfiguration starts nothing by a configuration that others can write: it
// names the program that is run as root.
func TestWritableConfiguration(t *testing.T) {
	eachStack(t, "refuses bad requests", func(t *testing.T, s stack) {
		c := newContainer(t, s)
		ask(c, askMonotonic, askBoottime)
		c.prepare()
		if err := os.Chmod(filepath.Join(c.dir, "timens.toml"), 0o666); err != nil {
			t.Fatal(err)
		}
		c.refused("create", "has mode 0666, so that others than its owner could change it: chmod go-w it")
		if s.mechanism == "shim" {
			if r := c.try("state", c.id); r.exit != 1 || !strings.Contains(r.stderr, "has mode 0666") {
				t.Errorf("%+v", r)
			}
		}
	})
}

// files are what a process has open, without what differs between two containers.
func (c *container) files(pid int) (list []string) {
	c.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	for _, fd := range strings.Fields(listing(c.t, dir)) {
		to, err := os.Readlink(dir + fd)
		if err != nil {
			c.t.Fatal(err)
		}
		to = strings.ReplaceAll(to, c.id, "ID")
		if kind, number, ok := strings.Cut(to, ":["); ok && strings.HasSuffix(number, "]") && kind != "anon_inode" {
			to = kind
		}
		list = append(list, fd+" "+to)
	}
	return list
}

// TestInheritsNothing compares what init has open, while it waits and when it runs, and
// what a process has open that is executed later, with what they have without us.
func TestInheritsNothing(t *testing.T) {
	look := func(t *testing.T, s stack) (all [3][]string) {
		c := newContainer(t, s, "hold")
		if s.mechanism != "none" {
			ask(c, askMonotonic, askBoottime)
		}
		if r := c.create(); r.exit != 0 {
			t.Fatalf("create: %+v", r)
		}
		if s.runtime.isCrun() { // which has init close its end when create has returned
			waitFor(t, "init to wait", func() bool { return !strings.Contains(fmt.Sprint(c.files(c.pid)), "socket") })
		}
		all[0] = c.files(c.pid)
		c.must("start", c.id)
		c.report()
		all[1] = c.files(c.pid)
		if s.runtime.key == "libcontainer" { // whose exec does not leave the process alone
			c.stop()
			return all
		}
		pidFile := filepath.Join(c.dir, "exec-pid")
		out, err := os.Create(filepath.Join(c.dir, "exec"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd := c.command("exec", "--detach", "--pid-file", pidFile, c.id, "/probe", "hold")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			t.Fatal(err, c.output("exec"))
		}
		waitFor(t, "exec", func() bool { return strings.HasSuffix(c.output("exec"), "}\n") })
		var pid int
		text, err := os.ReadFile(pidFile)
		if _, e := fmt.Sscan(string(text), &pid); err != nil || e != nil {
			t.Fatal(err, e)
		}
		all[2] = c.files(pid)
		if err := unix.Kill(pid, unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "exec's end", func() bool {
			ended, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return ended == pid || err == unix.ECHILD
		})
		c.stop()
		return all
	}
	for _, r := range lowLevels() {
		t.Run(r.key, func(t *testing.T) {
			t.Parallel()
			require(t, r.key, r.problem())
			want := look(t, stack{"none", r})
			for _, mechanism := range []string{"hook", "shim"} {
				got := look(t, stack{mechanism, r})
				for i, who := range []string{"the waiting init", "init", "exec"} {
					if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
						t.Errorf("%s: %s has open\n%s\nand without us\n%s", mechanism, who, strings.Join(got[i], "\n"), strings.Join(want[i], "\n"))
					}
				}
			}
		})
	}
}
