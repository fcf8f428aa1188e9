package agent

import (
	"net"
	"path/filepath"
	"testing"
)

func TestAgent(t *testing.T) {
	here, there := net.Pipe()
	ended := make(chan error)
	go func() { ended <- Serve(there) }()
	c := NewClient(here)
	file := filepath.Join(t.TempDir(), "a/b")
	for _, tt := range []struct {
		cmd            Command
		stdout, stderr string
		exit           int
		failed         bool
	}{
		{Command{}, "", "", 0, false},
		{Command{Args: []string{"/bin/cat"}, Stdin: []byte{0, 255, '\n'}}, "\x00\xff\n", "", 0, false},
		{Command{Args: []string{"/bin/sh", "-c", "echo $A; sleep 60 >/dev/null 2>&1 & kill $!; echo no >&2; exit 3"}, Env: []string{"A=b"}}, "b\n", "no\n", 3, false},
		{Command{Args: []string{"/nowhere"}}, "", "", 0, true},
		{Command{File: file, Stdin: []byte("text"), Mode: 0o640}, "", "", 0, false},
		{Command{Args: []string{"/bin/cat", file}}, "text", "", 0, false},
		{Command{File: file + "/c"}, "", "", 0, true},
		{Command{Args: []string{"/bin/sh", "-c", "kill -9 $$"}}, "", "", 0, true},
	} {
		r, err := c.Do(tt.cmd)
		if err != nil || string(r.Stdout) != tt.stdout || string(r.Stderr) != tt.stderr || r.Exit != tt.exit || (r.Error != "") != tt.failed {
			t.Errorf("%q: %+v, %v", tt.cmd.Args, r, err)
		}
	}
	here.Close()
	if err := <-ended; err == nil {
		t.Error("it still serves")
	}
	if _, err := c.Do(Command{}); err == nil {
		t.Error("asked nobody")
	}
}
