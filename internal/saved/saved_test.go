package saved

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/spec"
	"oci-timens/timens"
)

const (
	thisBoot = "4fdc9b3e-5a61-4b5a-9a2f-8a55a4a0a3d1"
	nextBoot = "11111111-2222-3333-4444-555555555555"
)

// at is a host n seconds after its start, which was at 1000 of its wall clock, and half of
// which it has slept.
func at(n time.Duration) timens.Host {
	n *= time.Second
	return timens.Host{
		Clocks: timens.Clocks{Monotonic: n / 2, Boottime: n},
		Wall:   timens.Wall{Realtime: 1000*time.Second + n, BootID: thisBoot, Boottime: n},
	}
}

// later is the next boot of that host, at a time of its wall clock.
func later(real time.Duration) timens.Host {
	h := at(5)
	h.Wall = timens.Wall{Realtime: real * time.Second, BootID: nextBoot, Boottime: 5 * time.Second}
	return h
}

func offsets(mono, boot int64) timens.Offsets {
	m, _ := timens.NewOffset(mono, 1)
	b, _ := timens.NewOffset(boot, 999999999)
	return timens.Offsets{Monotonic: m, Boottime: b}
}

func store(t *testing.T) Store {
	t.Helper()
	return Store{filepath.Join(t.TempDir(), "a/saved"), 4}
}

// self is a container that runs, ended is one that does not.
func self(t *testing.T, id string) User {
	t.Helper()
	p, err := timens.OpenProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ticks, err := p.StartTicks()
	if err != nil {
		t.Fatal(err)
	}
	return User{id, os.Getpid(), ticks}
}

func ended(id string) User { return User{id, 1<<22 - 1, 1} }

func (s Store) begin(t *testing.T, name string, u User, o timens.Offsets, h timens.Host, interval time.Duration) {
	t.Helper()
	if err := s.Begin(name, u, o, h, interval); err != nil {
		t.Fatal(err)
	}
}

func (s Store) end(t *testing.T, name, id string, h timens.Host) {
	t.Helper()
	s.endRestored(t, name, id, h, Restored{}, false)
}

func (s Store) endRestored(t *testing.T, name, id string, h timens.Host, r Restored, known bool) {
	t.Helper()
	if err := s.End(name, id, h, func() (Restored, bool) { return r, known }); err != nil {
		t.Fatal(err)
	}
}

// resumed is what the clocks of a container read, in seconds rounded down, that goes on
// on a host.
func (s Store) resumed(t *testing.T, name string, h timens.Host) (mono, boot int64, note string) {
	t.Helper()
	snap, note, err := s.Lookup(name, h)
	if err != nil {
		t.Fatal(err)
	}
	var reads [2]int64
	for i, c := range timens.AllClocks() {
		o, err := timens.ResumeSetting(snap).Resolve(c, h)
		if err != nil {
			t.Fatal(err)
		}
		v, err := o.Add(timens.OffsetOf(h.Clocks.Get(c)))
		if err != nil {
			t.Fatal(err)
		}
		reads[i] = v.Seconds()
	}
	return reads[0], reads[1], note
}

func TestGoesOn(t *testing.T) {
	for name, tt := range map[string]struct {
		do         func(*testing.T, Store)
		host       timens.Host
		mono, boot int64
		note       string
	}{
		"ended": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.end(t, "db", "c", at(20))
		}, at(30), 110, 230, ""},
		"ended, another boot": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.end(t, "db", "c", at(20))
		}, later(1100), 110, 300, ""},
		"still running": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
		}, at(30), 115, 230, ""},
		"not seen to end": {func(t *testing.T, s Store) {
			s.begin(t, "db", ended("c"), offsets(100, 200), at(10), 0)
		}, at(30), 115, 230, `of container "c", which was not seen to end: its clocks go on as if it had run until now`},
		"the machine died": {func(t *testing.T, s Store) {
			s.begin(t, "db", ended("c"), offsets(100, 200), at(10), 0)
		}, later(1100), 195, 300, `as if it had run for 1m30s after that was written`},
		"the machine died, with snapshots": {func(t *testing.T, s Store) {
			s.begin(t, "db", ended("c"), offsets(100, 200), at(10), 7*time.Second)
		}, later(1100), 112, 300, `as if it had run for 7s after that was written`},
		"the machine died, and its clock with it": {func(t *testing.T, s Store) {
			s.begin(t, "db", ended("c"), offsets(100, 200), at(10), 7*time.Second)
		}, later(100), 112, 217, `for 7s`},
		"of two, one goes on": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.begin(t, "db", self(t, "d"), offsets(90, 210), at(12), 0)
			s.end(t, "db", "c", at(20))
		}, at(30), 115, 240, ""},
		"the other too": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.begin(t, "db", self(t, "d"), offsets(90, 210), at(12), 0)
			s.end(t, "db", "c", at(20))
			s.end(t, "db", "d", at(22))
		}, at(30), 111, 240, ""},
		"a new one counts": {func(t *testing.T, s Store) {
			s.begin(t, "db", ended("c"), offsets(100, 200), at(10), 0)
			s.begin(t, "db", self(t, "d"), offsets(0, 0), at(12), 0)
			s.end(t, "db", "c", at(20))
			s.end(t, "db", "d", at(20))
		}, at(30), 10, 30, ""},
		"a restart with the same ID": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.end(t, "db", "c", at(20))
			s.begin(t, "db", self(t, "c"), offsets(99, 200), at(22), 0)
			s.end(t, "db", "c", at(24))
		}, at(30), 111, 230, ""},
		"restored, and nobody said so": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.end(t, "db", "c", at(20))
			s.end(t, "db", "c", at(28))
		}, at(30), 118, 230, ""},
		"restored, as was noted": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.end(t, "db", "c", at(20))
			s.endRestored(t, "db", "c", at(28), Restored{offsets(98, 200), thisBoot, 24 * time.Second}, true)
		}, at(30), 112, 230, ""},
		"restored, as was noted of another time": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.end(t, "db", "c", at(20))
			s.endRestored(t, "db", "c", at(28), Restored{offsets(98, 200), thisBoot, 19 * time.Second}, true)
		}, at(30), 118, 230, ""},
		"never begun": {func(t *testing.T, s Store) {
			s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
			s.end(t, "db", "c", at(20))
			s.end(t, "db", "other", at(28))
		}, at(30), 110, 230, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			tt.do(t, s)
			mono, boot, note := s.resumed(t, "db", tt.host)
			if mono != tt.mono || boot != tt.boot || (note == "") != (tt.note == "") || !strings.Contains(note, tt.note) {
				t.Errorf("monotonic %d, boottime %d, %q; want %d, %d, %q", mono, boot, note, tt.mono, tt.boot, tt.note)
			}
		})
	}
}

func TestExact(t *testing.T) {
	s, o, h := store(t), offsets(-3, 1<<30), at(10)
	s.begin(t, "ns/db", self(t, "c"), o, h, 0)
	for _, what := range []string{"running", "ended"} {
		if what == "ended" {
			s.end(t, "ns/db", "c", h)
		}
		snap, _, err := s.Lookup("ns/db", h)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range timens.AllClocks() {
			if got, err := timens.ResumeSetting(snap).Resolve(c, h); err != nil || got != o.Get(c) {
				t.Errorf("%s: %v is %v, %v; want %v", what, c, got, err, o.Get(c))
			}
		}
	}
}

func TestNames(t *testing.T) {
	s := store(t)
	s.begin(t, "default/db", self(t, "c"), offsets(1, 1), at(10), 0)
	s.begin(t, "db", self(t, "c"), offsets(2, 2), at(10), 0)
	for name, want := range map[string]int64{"default/db": 6, "db": 7} {
		if mono, _, _ := s.resumed(t, name, at(10)); mono != want {
			t.Errorf("%s: %d", name, mono)
		}
	}
	for _, name := range []string{"other/db", "other"} {
		if _, _, err := s.Lookup(name, at(10)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{"", "@default"} {
		if info, err := os.Stat(filepath.Join(s.dir, path)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%q: %v, %v", path, info, err)
		}
	}
	if info, err := os.Stat(filepath.Join(s.dir, "@default/db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, name := range []string{"default/2", "default/3", "default/4", "2"} {
		s.begin(t, name, self(t, "c"), offsets(1, 1), at(10), 0)
	}
	s.begin(t, "default/4", self(t, "d"), offsets(1, 1), at(10), 0)
	err := s.Begin("default/5", self(t, "c"), offsets(1, 1), at(10), 0)
	if want := s.dir + "/@default has 4 snapshots, and policy.max-saved allows no more: remove those that nobody needs"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestResolve(t *testing.T) {
	s := store(t)
	request := func(value string) spec.Request {
		r, err := spec.ParseAnnotations(map[string]string{spec.KeyResume: value})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := request("saved:db")
	err := s.Resolve(&r, at(10))
	want := `annotation "io.timens.resume": "saved:db": nothing has been saved under that name in ` + s.dir + `; "saved-or-new:" lets the first container start without`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if r = request("saved-or-new:db"); s.Resolve(&r, at(10)) != nil || !r.IsZero() || len(r.Notes) != 1 {
		t.Errorf("%+v", r)
	}
	s.begin(t, "db", self(t, "c"), offsets(100, 200), at(10), 0)
	for _, value := range []string{"saved:db", "saved-or-new:db"} {
		if r = request(value); s.Resolve(&r, at(20)) != nil || r.Monotonic.Setting != timens.OffsetSetting(offsets(100, 200).Monotonic) || r.Saved.Name != "" {
			t.Errorf("of one that runs: %+v", r)
		}
	}
	s.end(t, "db", "c", at(10))
	for _, value := range []string{"saved:db", "saved-or-new:db"} {
		if r = request(value); s.Resolve(&r, at(20)) != nil || !r.Resumes() || r.Saved.Name != "" {
			t.Errorf("of one that has ended: %+v", r)
		}
	}
}
