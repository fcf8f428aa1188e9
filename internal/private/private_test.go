package private

import (
	"errors"
	"syscall"
	"testing"
)

// TestOuterUIDUnknown lacks a file descriptor: what cannot be read is no answer.
func TestOuterUIDUnknown(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, _, err := OuterUID()
	if e := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); e != nil {
		t.Fatal(e)
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("%v", err)
	}
}

func TestOuterUID(t *testing.T) {
	const engine = "         0       1000          1\n         1     100000      65536\n"
	for _, tt := range []struct {
		text   string
		uid    int
		want   int
		mapped bool
	}{
		{"         0          0 4294967295\n", 0, 0, false},
		{"         0          0 4294967295\n", 1000, 1000, false},
		{engine, 0, 1000, true},
		{engine, 7, 100006, true},
		{engine, 70000, -1, true},
		{"", 0, -1, true},
		{"a b c", 0, -1, true},
	} {
		if got, mapped := outerUID(tt.text, tt.uid); got != tt.want || mapped != tt.mapped {
			t.Errorf("%q, %d: %d, %v", tt.text, tt.uid, got, mapped)
		}
	}
}
