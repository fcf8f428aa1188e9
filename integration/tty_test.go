package integration

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestTerminal gives the container a terminal, whose other end the runtime sends
// over a socket.
func TestTerminal(t *testing.T) {
	eachStack(t, "tty", func(t *testing.T, s stack) {
		c := newContainer(t, s, "hold")
		c.spec.Process.Terminal = true
		c.spec.Process.ConsoleSize = &specs.Box{Height: 24, Width: 80}
		ask(c, askMonotonic, askBoottime)
		c.prepare()
		socket := filepath.Join(c.dir, "console")
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if r := c.create("--console-socket", socket); r.exit != 0 {
			t.Fatalf("create: exit %d: %s", r.exit, r.stderr)
		}
		terminal := receiveTerminal(t, listener)
		defer terminal.Close()
		c.must("start", c.id)

		seen := seen{before: c.created.before}
		text := readObject(t, terminal)
		seen.after = host(t)
		if err := json.Unmarshal(text, &seen.inside); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		asked.check(t, c.created, seen)
		if !bytes.Contains(text, []byte("\r\n")) {
			t.Errorf("%q did not come through a terminal", text)
		}
		c.stop()
	})
}

// receiveTerminal takes the file that the runtime sends.
func receiveTerminal(t *testing.T, l *net.UnixListener) *os.File {
	t.Helper()
	if err := l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 4096), control)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%d files, %v", len(fds), err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "terminal")
}

// readObject reads one line.
func readObject(t *testing.T, f *os.File) (text []byte) {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for !bytes.HasSuffix(text, []byte("\n")) {
		buf := make([]byte, 4096)
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("the terminal, after %q: %v", text, err)
		}
		text = append(text, buf[:n]...)
	}
	return text
}
