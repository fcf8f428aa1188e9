// Command embedded is libcontainer as a program would embed it, behind just
// enough of runc's command line for the tests to drive it like the other
// runtimes. It is no runtime for anything else.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/moby/sys/userns"
	_ "github.com/opencontainers/cgroups/devices" // lets cgroups hold device rules
	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // joins namespaces before Go starts
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "init" {
		libcontainer.Init() // does not return
	}
	global := flag.NewFlagSet("embedded", flag.ExitOnError)
	root := global.String("root", "", "where containers are kept")
	version := global.Bool("version", false, "print the version")
	global.String("log", "", "not used")
	global.String("log-format", "", "not used")
	_ = global.Parse(os.Args[1:]) // exits by itself
	if *version {
		fmt.Println("runc version 1.5.2") // what it is made of, and what the runc shim goes by
		return
	}
	code, err := command(*root, global.Args())
	if err != nil {
		fmt.Fprintf(os.Stderr, "embedded: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func command(root string, args []string) (code int, err error) {
	if len(args) == 0 {
		return 1, errors.New("a command is missing")
	}
	options := flag.NewFlagSet(args[0], flag.ExitOnError)
	var o createOptions
	options.StringVar(&o.bundle, "bundle", ".", "the bundle")
	options.StringVar(&o.bundle, "b", ".", "the same")
	options.StringVar(&o.pidFile, "pid-file", "", "where to write the PID")
	options.StringVar(&o.consoleSocket, "console-socket", "", "where to send the terminal")
	options.String("resources", "", "always standard input")
	force := options.Bool("force", false, "kill the container first")
	_ = options.Parse(args[1:]) // exits by itself
	if options.NArg() == 0 {
		return 1, errors.New("a container is missing")
	}
	id, rest := options.Arg(0), options.Args()[1:]
	if args[0] == "create" || args[0] == "run" {
		return create(root, id, o, args[0] == "run")
	}
	c, err := libcontainer.Load(root, id)
	if err != nil {
		return 1, err
	}
	switch args[0] {
	case "start":
		return 0, c.Exec()
	case "exec":
		return execute(c, &libcontainer.Process{Args: rest, Cwd: "/"})
	case "kill":
		return 0, c.Signal(unix.SignalNum("SIG" + rest[0]))
	case "pause":
		return 0, c.Pause()
	case "resume":
		return 0, c.Resume()
	case "update":
		return 0, update(c)
	case "state":
		s, err := c.OCIState()
		if err != nil {
			return 1, err
		}
		return 0, json.NewEncoder(os.Stdout).Encode(s)
	case "delete":
		if *force {
			_ = c.Signal(unix.SIGKILL) // it may be dead already
		}
		return 0, c.Destroy()
	}
	return 1, fmt.Errorf("unknown command %q", args[0])
}

type createOptions struct{ bundle, pidFile, consoleSocket string }

// create leaves a container waiting for start, or runs it to its end.
func create(root, id string, o createOptions, run bool) (int, error) {
	if err := os.Chdir(o.bundle); err != nil {
		return 1, err
	}
	text, err := os.ReadFile("config.json")
	if err != nil {
		return 1, err
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		return 1, err
	}
	rootless := os.Geteuid() != 0 || userns.RunningInUserNS()
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName: id, Spec: &spec, RootlessEUID: os.Geteuid() != 0, RootlessCgroups: rootless,
	})
	if err != nil {
		return 1, err
	}
	c, err := libcontainer.Create(root, id, config)
	if err != nil {
		return 1, err
	}
	process := &libcontainer.Process{Args: spec.Process.Args, Env: spec.Process.Env, Cwd: spec.Process.Cwd, Init: true}
	if run {
		code, err := execute(c, process)
		return code, errors.Join(err, c.Destroy())
	}
	if o.consoleSocket == "" {
		inheritStdio(process)
	} else if process.ConsoleSocket, err = connect(o.consoleSocket); err != nil {
		return 1, err
	}
	if err := c.Start(process); err != nil {
		return 1, errors.Join(err, c.Destroy())
	}
	pid, err := process.Pid()
	if err != nil || o.pidFile == "" {
		return 0, err
	}
	return 0, os.WriteFile(o.pidFile, []byte(strconv.Itoa(pid)), 0o600)
}

// execute starts a process in the foreground and returns its exit code.
func execute(c *libcontainer.Container, p *libcontainer.Process) (int, error) {
	inheritStdio(p)
	if err := c.Run(p); err != nil {
		return 1, err
	}
	state, err := p.Wait()
	if state == nil {
		return 1, err
	}
	return state.ExitCode(), nil
}

func connect(socket string) (*os.File, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.File()
}

func inheritStdio(p *libcontainer.Process) {
	p.Stdin, p.Stdout, p.Stderr = os.Stdin, os.Stdout, os.Stderr
}

// update sets the limit of processes, the one resource that tests change.
func update(c *libcontainer.Container) error {
	var r specs.LinuxResources
	if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
		return err
	}
	if r.Pids == nil {
		return errors.New(`update: want {"pids":{"limit":N}}`)
	}
	config := c.Config()
	config.Cgroups.PidsLimit = r.Pids.Limit
	return c.Set(config)
}
