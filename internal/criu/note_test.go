package criu

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
)

func TestNote(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadNote(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	s, h := taken(t), host(bootA, 1062, 5062)
	r, err := s.Continue(dump, h)
	if err != nil {
		t.Fatal(err)
	}
	want := s.Note("/images/c1", r, h)
	if want.Before != s.Offsets || want.After != r.Offsets || want.Gap != r.Gap || want.Gap == 0 {
		t.Errorf("%+v", want)
	}
	for range 2 {
		if err := want.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadNote(dir)
	if got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, tt := range []struct {
		started time.Duration
		boot    string
		want    bool
	}{
		{1062 * time.Second, bootA, true},
		{1063 * time.Second, bootA, true},
		{1062 * time.Second, bootB, false},
		{1000 * time.Second, bootA, false}, // a container that ran before
		{1200 * time.Second, bootA, false}, // one that was made of the same bundle since
	} {
		if got.IsOf(tt.started, tt.boot) != tt.want {
			t.Errorf("%+v", tt)
		}
	}
	for text, want := range map[string]string{
		"":                         "unexpected end of JSON input",
		`{"version":2}`:            "its version is 2, and this program knows 1",
		`{"version":1,"gap":"1x"}`: `unknown unit "x"`,
		`{"version":1,"gap":"1s"}`: "invalid duration",
	} {
		write(t, dir, NoteName, []byte(text))
		if _, err := ReadNote(dir); err == nil || !strings.HasPrefix(err.Error(), dir+"/"+NoteName+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
