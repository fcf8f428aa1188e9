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
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirEnv names the folder of one run, once this program has its own mounts.
const dirEnv = "TIMENS_BENCH_DIR"

type bench struct {
	dir       string // of bundles, and of the programs made for the benchmark
	bin, runc string
	runs      int
}

func main() {
	var b bench
	flag.StringVar(&b.bin, "bin", "../bin", "where timens-hook and timens-runc are")
	flag.StringVar(&b.runc, "runc", "../.tools/runc-1.5.2", "the low-level runtime")
	flag.IntVar(&b.runs, "runs", 200, "rounds")
	engine := flag.String("engine", "", "measure instead what it costs to have this engine set up: containerd or podman")
	flag.Parse()
	for _, path := range []*string{&b.bin, &b.runc} {
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
		run = b.inside
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
	built := []string{b.runc}
	for _, name := range []string{"timens-hook", "timens-runc", "timensctl"} {
		built = append(built, filepath.Join(b.bin, name))
	}
	for _, name := range []string{"noop", "noopwrap", "measure", "probe"} {
		path := filepath.Join(b.dir, "built", name)
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
		built = append(built, path)
	}
	if err := b.install(built); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), dirEnv+"="+b.dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	return cmd.Run()
}

// install copies programs to where they are started from. Go's linker writes its
// output through a mapping, which leaves single pages of it in the page cache; a
// file that was installed, or read from the disk, is there in larger pieces, and
// the start of a program takes some 0.3 ms less.
func (b *bench) install(built []string) error {
	if err := os.Mkdir(filepath.Join(b.dir, "bin"), 0o755); err != nil {
		return err
	}
	for _, path := range built {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.own(filepath.Base(path)), text, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// own is the path of a program that was installed for the benchmark.
func (b *bench) own(name string) string { return filepath.Join(b.dir, "bin", name) }

// inside measures everything. The shim's memory of runtimes in /run is not to stay.
func (b *bench) inside() error {
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
	for _, part := range []func() error{b.starts, b.memory, b.sizes, b.clocks} {
		if err := part(); err != nil {
			return err
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
