// Package agent is what a test and its guest speak: the test sends commands, and the
// guest runs them one after the other and answers. Any stream will do.
//
// What is run is the tests' business, and how a guest comes to run is package guest's.
package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Command is run as root in the root folder of the guest. It is a program with arguments,
// or else a File to be written, with the folders above it.
type Command struct {
	Args, Env []string
	Stdin     []byte
	File      string
	Mode      os.FileMode
}

// Result is how it ended. What it wrote is all that was written when it ended, also where
// it left processes behind that could write more.
type Result struct {
	Stdout, Stderr []byte
	Exit           int
	Error          string // why it could not be run
}

// Serve answers until the stream ends.
func Serve(stream io.ReadWriter) error {
	in, out := json.NewDecoder(stream), json.NewEncoder(stream)
	for {
		var c Command
		if err := in.Decode(&c); err != nil {
			return err
		}
		if err := out.Encode(run(c)); err != nil {
			return err
		}
	}
}

// run answers at once where there is nothing to do.
func run(c Command) (r Result) {
	var err error
	switch {
	case len(c.Args) > 0:
		err = r.run(c)
	case c.File != "":
		err = write(c)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		r.Exit = exit.ExitCode()
	} else if err != nil {
		r.Error = err.Error()
	}
	return r
}

// run lets the command write to files, and not to pipes: whoever reads those has to wait
// for all processes that have them.
func (r *Result) run(c Command) error {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env, cmd.Dir = c.Env, "/"
	var files [3]*os.File
	for i := range files {
		f, err := os.CreateTemp("", "agent-")
		if err != nil {
			return err
		}
		defer f.Close()
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
		files[i] = f
	}
	if _, err := files[0].WriteAt(c.Stdin, 0); err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
	err := cmd.Run()
	for i, to := range []*[]byte{&r.Stdout, &r.Stderr} {
		if _, e := files[i+1].Seek(0, io.SeekStart); e != nil {
			return e
		}
		var e error
		if *to, e = io.ReadAll(files[i+1]); e != nil {
			return e
		}
	}
	return err
}

func write(c Command) error {
	if err := os.MkdirAll(filepath.Dir(c.File), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, c.Mode)
	if err != nil {
		return err
	}
	_, err = f.Write(c.Stdin)
	return errors.Join(err, f.Chmod(c.Mode), f.Close())
}

// Client sends commands. Its methods may be called by several goroutines at once.
type Client struct {
	mutex sync.Mutex
	in    *json.Decoder
	out   *json.Encoder
}

// NewClient speaks with what Serve answers at the other end of the stream.
func NewClient(stream io.ReadWriter) *Client {
	return &Client{in: json.NewDecoder(stream), out: json.NewEncoder(stream)}
}

// Do has one command run, and waits for its end.
func (c *Client) Do(cmd Command) (r Result, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err := c.out.Encode(cmd); err != nil {
		return r, fmt.Errorf("asking the guest: %w", err)
	}
	if err := c.in.Decode(&r); err != nil {
		return r, fmt.Errorf("waiting for the guest: %w", err)
	}
	return r, nil
}
