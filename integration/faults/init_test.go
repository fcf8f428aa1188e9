package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
)

// The tests have a low-level runtime of their own, whose init can be told to do what no
// real one does: this binary, started as "ID" for the runtime and as "… init" for init,
// as libcontainer starts it.
const (
	kindEnv  = "TIMENS_FAULTS_KIND"  // of init: see kinds
	hookEnv  = "TIMENS_FAULTS_HOOK"  // the command line of the hook, as JSON
	stateEnv = "TIMENS_FAULTS_STATE" // without the PID, as JSON
	probeEnv = "TIMENS_FAULTS_PROBE"
)

// playRuntime starts init and the hook, and has init run its program if the hook
// succeeds. A dead init is taken note of at once, and its PID is free then.
func playRuntime() error {
	var hook []string
	var state map[string]any
	if err := errors.Join(json.Unmarshal([]byte(os.Getenv(hookEnv)), &hook), json.Unmarshal([]byte(os.Getenv(stateEnv)), &state)); err != nil {
		return err
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	init := again("init")
	init.Args = []string{"fake", "init"}
	init.ExtraFiles = []*os.File{tell}
	init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	let, err := init.StdinPipe()
	if err != nil {
		return err
	}
	if err := init.Start(); err != nil {
		return err
	}
	defer init.Process.Kill()
	ended := make(chan error, 1)
	go func() { ended <- init.Wait() }()
	tell.Close()
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	kind := os.Getenv(kindEnv)
	if kind == "stopped" {
		if err := within(limit, func() error { return inState(init.Process.Pid, "T") }); err != nil {
			return err
		}
	}
	state["pid"] = init.Process.Pid
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	cmd := command(hook, os.Environ()...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the hook: %w", err)
	}
	switch kind {
	case "runs something else":
		return hasClocks(init.Process.Pid)
	case "stopped":
		// From its tracer it goes back to where it was.
		err := within(limit, func() error { return inState(init.Process.Pid, "T") })
		if err := errors.Join(err, init.Process.Signal(unix.SIGCONT)); err != nil {
			return err
		}
	}
	if _, err := let.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	return <-ended
}

func inState(pid int, want string) error {
	if f := statFields(pid); len(f) == 0 || f[0] != want {
		return fmt.Errorf("process %d is in state %q, want %s", pid, f, want)
	}
	return nil
}

// hasClocks is an error, unless a process is in a time namespace with what was asked.
func hasClocks(pid int) error {
	own, err1 := os.Readlink("/proc/self/ns/time")
	in, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/time", pid))
	next, err3 := os.Readlink(fmt.Sprintf("/proc/%d/ns/time_for_children", pid))
	offsets := strings.Join(strings.Fields(string(procFile(pid, "timens_offsets"))), " ")
	if in == own || in != next || offsets != "monotonic 90061 42 boottime -3 500000000" {
		return fmt.Errorf("THE HOOK SAID YES: in %s, then %s, with %q, %w", in, next, offsets, errors.Join(err1, err2, err3))
	}
	return errors.New("it has its clocks, and is ended")
}

// kinds are what an init does while it waits, or has prepared before.
var kinds = map[string]func(){
	"waits": func() {},
	"forks": func() { go storm(func() { _ = exec.Command("/bin/true").Run() }) },
	"has threads that come and go": func() {
		for range 20 {
			go storm(func() {
				done := make(chan bool)
				go func() { runtime.LockOSThread(); close(done) }()
				<-done
			})
		}
	},
	"gets signals": func() {
		pid, tid := os.Getpid(), unix.Gettid()
		go storm(func() { _ = unix.Tgkill(pid, tid, unix.SIGURG) })
	},
	"stopped":                   func() { _ = unix.Kill(os.Getpid(), unix.SIGSTOP) },
	"pretends to have unshared": func() { filterUnshare(unix.SECCOMP_RET_ERRNO) },
	"may not unshare":           func() { filterUnshare(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)) },
	"traps unshare":             func() { filterUnshare(unix.SECCOMP_RET_TRAP) },
	"dies of unshare":           func() { filterUnshare(unix.SECCOMP_RET_KILL_PROCESS) },
	"never returns":             func() { filterUnshare(unix.SECCOMP_RET_USER_NOTIF) },
	"unmaps its vDSO": func() {
		for line := range strings.Lines(string(procFile(os.Getpid(), "maps"))) {
			var from, to uintptr
			if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err == nil && strings.Contains(line, "[vdso]") {
				go func() {
					time.Sleep(time.Duration(os.Getpid()%7) * 500 * time.Microsecond)
					unix.RawSyscall(unix.SYS_MUNMAP, from, to-from, 0)
				}()
			}
		}
	},
	"runs something else": func() {
		go func() {
			time.Sleep(time.Duration(os.Getpid()%7) * 500 * time.Microsecond)
			_ = syscall.Exec("/bin/sleep", []string{"sleep", "100"}, nil)
		}()
	},
}

func storm(f func()) {
	for {
		f()
	}
}

func init() {
	if os.Getenv(roleEnv) == "init" {
		runtime.LockOSThread() // the main thread, which is the one that execs
	}
}

// playInit waits in a read(2) of its main thread, and becomes the probe.
func playInit() error {
	go func() {}() // some thread more
	kind := os.Getenv(kindEnv)
	syscall.CloseOnExec(3) // if it becomes another program before it has told
	tell := func() {
		f := os.NewFile(3, "ready")
		f.Write([]byte{1})
		f.Close()
	}
	if kind == "stopped" {
		tell()
	}
	kinds[kind]()
	if kind != "stopped" {
		tell()
	}
	if n, err := syscall.Read(0, make([]byte, 1)); n != 1 || err != nil {
		return fmt.Errorf("read: %d, %w", n, err)
	}
	return syscall.Exec(os.Getenv(probeEnv), []string{"probe"}, nil)
}

// filterUnshare has the calling thread's unshare(2) end in another way.
func filterUnshare(action uint32) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_UNSHARE},
		{Code: unix.BPF_RET | unix.BPF_K, K: action},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	flags := uintptr(0)
	if action == unix.SECCOMP_RET_USER_NOTIF {
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER // stays open, and nobody reads
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		panic(errno)
	}
}

// fake is a run of the tests' own runtime.
type fake struct {
	cmd  *exec.Cmd
	dir  string
	gate gate
}

func newFake(t *testing.T, kind string) (f fake, err error) {
	f.dir = filepath.Join(base, fmt.Sprintf("fake-%d", containers.Add(1)))
	if err := os.MkdirAll(filepath.Join(f.dir, "gate"), 0o755); err != nil {
		return f, err
	}
	if f.gate, err = newGate(filepath.Join(f.dir, "gate")); err != nil {
		return f, err
	}
	hook, err := json.Marshal(f.gate.argv(machine.Programs(t).Hook, "createRuntime"))
	if err != nil {
		return f, err
	}
	state := `{"ociVersion": "1.0.2", "id": "fake", "status": "creating", "bundle": "` + f.dir + `",
		"annotations": {"io.timens.monotonic": "+90061.000000042", "io.timens.boottime": "-2.5s"}}`
	toml := filepath.Join(f.dir, "timens.toml")
	f.cmd = again("runtime", kindEnv+"="+kind, hookEnv+"="+string(hook), stateEnv+"="+state,
		probeEnv+"="+machine.Programs(t).Probe, "TIMENS_CONFIG="+toml)
	f.cmd.Args = []string{"fake", "fake"}
	return f, os.WriteFile(toml, nil, 0o644)
}

func (f fake) run(decide func(call) fault) (result, *trace, error) {
	x, err := f.gate.follow(decide)
	if err != nil {
		return result{}, nil, err
	}
	r, err := finish(f.cmd)
	return r, x, errors.Join(err, x.end(), os.RemoveAll(f.dir))
}
