package transparent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func withTerminal(s *specs.Spec) {
	s.Process.Terminal = true
	s.Process.ConsoleSize = &specs.Box{Height: 33, Width: 99} // as newTerminal's
}

// TestConsoleSocket has a terminal sent over a socket, for init and for exec.
func TestConsoleSocket(t *testing.T) {
	eachRuntime(t, func(w *world) {
		w.renew(withTerminal, "terminal")
		master := w.receive(func() { w.run("create --console-socket @/console c1") })
		pid := w.initPID()
		w.run("start c1")
		w.converse(master)
		w.reap(pid)
		w.run("delete c1")

		w.renew(withTerminal, "terminal")
		master = w.receive(func() { w.run("run --detach --console-socket @/console c1") })
		w.converse(master)
		w.reap(w.initPID())

		w.renew(nil, "hold")
		w.run("run --detach c1")
		var cmd *exec.Cmd
		var e *entry
		master = w.receive(func() {
			cmd, e = w.start(call{line: "exec --tty --detach --console-socket @/console c1 /tell inside terminal"})
			w.finish(cmd, e)
		})
		w.converse(master)
	})
}

// receive takes the terminal that a command sends.
func (w *world) receive(command func()) *os.File {
	w.t.Helper()
	socket := w.path("console")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	command()
	if err := l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		w.t.Fatalf("%s: %v: %s", w.v.name, err, w.read(w.last().err))
	}
	defer conn.Close()
	name, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, rights, _, _, err := conn.ReadMsgUnix(name, control)
	if err != nil {
		w.t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:rights])
	if err != nil || len(messages) != 1 {
		w.t.Fatalf("%d messages, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		w.t.Fatalf("%d files, %v", len(fds), err)
	}
	w.note("the terminal's name", string(name[:n]))
	return w.terminal(fds[0])
}

func (w *world) terminal(fd int) *os.File {
	w.t.Helper()
	if err := unix.SetNonblock(fd, true); err != nil {
		w.t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "terminal")
}

// converse waits for the program at the other end, answers, and notes all it says.
func (w *world) converse(master *os.File) {
	w.t.Helper()
	defer master.Close()
	if err := master.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	var text strings.Builder
	for answered := false; ; {
		buf := make([]byte, 4096)
		n, err := master.Read(buf)
		text.Write(buf[:n])
		if errors.Is(err, unix.EIO) { // all at the other end have closed it
			break
		}
		if err != nil {
			w.t.Fatalf("%s: the terminal, after %q: %v", w.v.name, &text, err)
		}
		if !answered && strings.Contains(text.String(), "ready") {
			answered = true
			if _, err := master.WriteString("a line\n"); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.note("on the terminal", fmt.Sprintf("%q", text.String()))
}

// TestTerminal runs a container in the terminal of its caller.
func TestTerminal(t *testing.T) {
	eachRuntime(t, func(w *world) {
		w.renew(withTerminal, "terminal")
		master, slave := w.newTerminal()
		cmd, e := w.start(call{line: "run c1", set: func(c *exec.Cmd) {
			c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
			c.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
		}})
		slave.Close()
		w.converse(master)
		w.finish(cmd, e)
		w.look(e)
		// What does not fit.
		for _, line := range []string{"create c1", "run --detach c1", "create --console-socket @/none c1", "create --console-socket @/bundle/config.json c1"} {
			w.renew(withTerminal, "terminal")
			w.do(call{line: line})
			w.renew(nil)
			w.do(call{line: line})
		}
	})
}

func (w *world) newTerminal() (master, slave *os.File) {
	w.t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 99}))
	if err != nil {
		w.t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.terminal(fd), slave
}
