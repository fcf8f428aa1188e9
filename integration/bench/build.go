package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// build makes the yardsticks, and installs them with what is measured.
func (b *bench) build() error {
	built := []string{b.runc}
	for _, name := range []string{"timens-hook", "timens-runc", "timensctl"} {
		built = append(built, filepath.Join(b.bin, name))
	}
	if b.peer != "" {
		built = append(built, b.peer)
	}
	if err := os.Mkdir(filepath.Join(b.dir, "built"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"noop", "noopwrap", "measure", "probe"} {
		path, err := b.compile(name, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "{}", "./cmd/"+name)
		if err != nil {
			return err
		}
		built = append(built, path)
	}
	for _, name := range inC() {
		args := []string{"-O2", "-s", "-Wall", "-Wextra", "-o", "{}", "bench/c/" + name + ".c"}
		if name != "clock" { // which is to have a library put before its own
			args = append([]string{"-static"}, args...)
		}
		path, err := b.compile("c-"+name, "cc", args...)
		if err != nil {
			return err
		}
		built = append(built, path)
	}
	return b.install(built)
}

// inC are the programs in c/. The hook is written for one processor alone.
func inC() []string {
	names := []string{"noop", "wrap", "shim", "clock"}
	if runtime.GOARCH == "amd64" {
		names = append(names, "hook")
	}
	return names
}

// compile runs a compiler, whose output is {}.
func (b *bench) compile(name, compiler string, args ...string) (path string, err error) {
	path = filepath.Join(b.dir, "built", name)
	for i, arg := range args {
		if arg == "{}" {
			args[i] = path
		}
	}
	cmd := exec.Command(compiler, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
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
