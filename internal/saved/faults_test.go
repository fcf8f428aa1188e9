package saved

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestDamaged has every way of a file to be wrong be refused, and named: a container that
// started anew instead could see its clocks go backward.
func TestDamaged(t *testing.T) {
	s := store(t)
	s.begin(t, "db", self(t, "a c"), offsets(100, 200), at(10), 0)
	path := filepath.Join(s.dir, "db")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(text)
	for name, tt := range map[string]struct{ text, want string }{
		"empty":         {"", "it is no snapshot of clocks, or not a whole one"},
		"cut":           {whole[:len(whole)-4], "it is no snapshot of clocks, or not a whole one"},
		"cut to a line": {whole[:strings.Index(whole, "offset")], "it is no snapshot of clocks, or not a whole one"},
		"a bad number":  {strings.Replace(whole, "monotonic 100", "monotonic 1OO", 1), `line 3 "offset monotonic 1OO 1": line 1 "monotonic 1OO 1": seconds "1OO" are no 64-bit number`},
		"a clock twice": {strings.Replace(whole, "offset", "offset monotonic 1 1\noffset", 1), "it has too few or too many lines of a kind"},
		"a new key":     {strings.Replace(whole, "user", "hour", 1), "unknown key"},
		"no user":       {strings.Replace(whole, "user", "user x", 1), "invalid syntax"},
		"huge":          {whole + strings.Repeat("x", maxText), "it is longer than"},
	} {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Lookup("db", at(10))
		if err == nil || !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "put it right, or remove it for clocks that start anew") {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Begin("db", self(t, "c"), offsets(1, 1), at(10), 0); err == nil {
			t.Errorf("%s: written over", name)
		}
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Lookup("db", at(10)); err == nil || !strings.Contains(err.Error(), "it is no regular file that only this user can write to") {
		t.Error(err)
	}
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Lookup("db", at(10)); err == nil || !strings.Contains(err.Error(), "can be written to by others, or belongs to another user") {
		t.Error(err)
	}
}

// TestPowerCut has what a process leaves that is killed half way be passed over, and
// written over.
func TestPowerCut(t *testing.T) {
	s := store(t)
	s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
	left := filepath.Join(s.dir, ".new")
	if err := os.WriteFile(left, []byte(firstLine+"\nsnap"), 0o600); err != nil {
		t.Fatal(err)
	}
	if mono, _, _ := s.resumed(t, "db", at(30)); mono != 115 {
		t.Errorf("it is %d", mono)
	}
	s.end(t, "db", "c", at(20))
	if mono, _, _ := s.resumed(t, "db", at(30)); mono != 110 {
		t.Errorf("then it is %d", mono)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestAtOnce has many containers begin and end at once.
func TestAtOnce(t *testing.T) {
	s := store(t)
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			id := fmt.Sprint(i)
			err := s.Begin("db", self(t, id), offsets(int64(i), 1), at(10), 0)
			if err == nil && i > 0 {
				err = s.End("db", id, at(20), func() (Restored, bool) { return Restored{}, false })
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if _, _, err := s.Lookup("db", at(30)); err != nil {
		t.Error(err)
	}
	s.end(t, "db", "0", at(20))
	r, _, err := s.read("db")
	if err != nil || len(r.users) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
