package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// engines are those of which is measured what it costs to have them set up.
var engines = map[string]func(*bench) error{"containerd": (*bench).containerd, "podman": (*bench).podman}

// engine measures what one of them costs.
func (b *bench) engine(name string) (err error) {
	measure, ok := engines[name]
	if !ok {
		return fmt.Errorf("unknown engine %q", name)
	}
	return measure(b)
}

// setting stands in for a test, where a package for tests wants one.
type setting struct {
	testing.TB
	cleanups []func()
	errors   []string
}

type failure string

// inSetting calls f, and returns as an error what would have failed a test.
func inSetting(f func(*setting) error) (err error) {
	s := &setting{}
	defer func() {
		failed := recover()
		for _, f := range slices.Backward(s.cleanups) {
			f()
		}
		switch text, ok := failed.(failure); {
		case ok:
			err = fmt.Errorf("%s", text)
		case failed != nil:
			panic(failed)
		case err == nil && len(s.errors) > 0:
			err = fmt.Errorf("%s", s.errors[0])
		}
	}()
	return f(s)
}

func (s *setting) Helper()                         {}
func (s *setting) Cleanup(f func())                { s.cleanups = append(s.cleanups, f) }
func (s *setting) Context() context.Context        { return context.Background() }
func (s *setting) Failed() bool                    { return len(s.errors) > 0 }
func (s *setting) Fatal(args ...any)               { panic(failure(fmt.Sprint(args...))) }
func (s *setting) Fatalf(f string, args ...any)    { panic(failure(fmt.Sprintf(f, args...))) }
func (s *setting) Skipf(f string, args ...any)     { s.Fatalf(f, args...) }
func (s *setting) Error(args ...any)               { s.errors = append(s.errors, fmt.Sprint(args...)) }
func (s *setting) Errorf(f string, args ...any)    { s.Error(fmt.Sprintf(f, args...)) }
func (s *setting) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// TempDir is below one of its own, as a test's is.
func (s *setting) TempDir() string {
	dir, err := os.MkdirTemp("", "timens-bench-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is in memory
	inner := filepath.Join(dir, "001")
	if err := os.Mkdir(inner, 0o755); err != nil {
		s.Fatal(err)
	}
	return inner
}
