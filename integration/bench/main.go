// Command bench measures what the hook and the shim add to the start of a
// container, their memory and size, and what a clock costs to read inside. It
// prints a Markdown table, with the goals beside the figures.
//
// All ways to start a container take turns in one session, in a new order each
// round, and differences are taken within a round: the machine's own ups and downs
// hit all alike. Whether a container gets the right clocks is for the tests.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirEnv names the folder of one run, once this program has its own mounts.
const dirEnv = "TIMENS_BENCH_DIR"

type bench struct {
	dir       string // of bundles, and of the programs made for the benchmark
	bin, runc string
	tree      string // of a Debian 13, for its crun
	peer      string // another wrapper, "" for none
	runs      int
}

func main() {
	var b bench
	flag.StringVar(&b.bin, "bin", "../bin", "where timens-hook and timens-runc are")
	flag.StringVar(&b.runc, "runc", "../.tools/runc-1.5.2", "the low-level runtime")
	flag.StringVar(&b.tree, "tree", "../.tools/debian13-1", "a Debian with crun")
	flag.StringVar(&b.peer, "peer", "", "nvidia-container-runtime, if it is to be measured as well")
	flag.IntVar(&b.runs, "runs", 200, "rounds")
	only := flag.String("only", "", "measure one part: "+strings.Join(partNames(), ", "))
	engine := flag.String("engine", "", "measure instead what it costs to have this engine set up: containerd or podman")
	flag.Parse()
	for _, path := range []*string{&b.bin, &b.runc, &b.tree, &b.peer} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %v\n", err)
			os.Exit(1)
		}
		*path = abs
	}
	b.dir = os.Getenv(dirEnv)
	run := b.outside
	if b.dir != "" {
		run = func() error { return b.inside(*only) }
	}
	if *only != "" && !slices.Contains(partNames(), *only) {
		fmt.Fprintf(os.Stderr, "bench: unknown part %q: want one of %s\n", *only, strings.Join(partNames(), ", "))
		os.Exit(1)
	}
	if *engine != "" {
		run = func() error { return b.engine(*engine) }
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// outside builds the yardsticks and starts the benchmark with its own mounts.
func (b *bench) outside() (err error) {
	if os.Geteuid() != 0 {
		return errors.New("containers are started as root: run this as root")
	}
	if b.dir, err = os.MkdirTemp("", "timens-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.build(); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), dirEnv+"="+b.dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	return cmd.Run()
}

// parts are what can be measured, in the order in which it is printed.
var parts = []struct {
	name    string
	measure func(*bench) error
}{
	{"starts", (*bench).starts}, {"crun", (*bench).crun}, {"jobs", (*bench).jobs}, {"parallel", (*bench).parallel},
	{"memory", (*bench).memory}, {"sizes", (*bench).sizes}, {"clocks", (*bench).clocks}, {"faketime", (*bench).faketime},
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// inside measures everything, or one part. The shim's memory of runtimes in /run is not to
// stay.
func (b *bench) inside(only string) error {
	b.bin, b.runc = filepath.Join(b.dir, "bin"), b.own(filepath.Base(b.runc))
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("hiding /run: %w", err)
	}
	defer removeCgroups()
	machine, err := describe(b.runc)
	if err != nil {
		return err
	}
	fmt.Printf("%s; medians of %d interleaved runs each.\n\n", machine, b.runs)
	for _, p := range parts {
		if only != "" && only != p.name {
			continue
		}
		if err := p.measure(b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// describe names what the figures depend on.
func describe(runc string) (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	version, err := exec.Command(runc, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", runc, err)
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	model, processors := "unknown processor", 0
	for line := range strings.Lines(string(info)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "processor":
			processors++
		case "model name":
			model = strings.TrimSpace(value)
		}
	}
	first, _, _ := strings.Cut(string(version), "\n")
	return fmt.Sprintf("Linux %s, %d × %s, %s", unix.ByteSliceToString(u.Release[:]), processors, model, first), nil
}
