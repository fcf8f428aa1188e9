package pod

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"oci-timens/internal/plan"
	"oci-timens/timens"
)

func reading(c timens.Clock, setting string) plan.Reading {
	s, err := timens.ParseSetting(setting)
	if err != nil {
		panic(err)
	}
	return plan.Reading{Clock: c, Setting: s}
}

func offset(secs, nanos int64) timens.Offset {
	v, err := timens.NewOffset(secs, nanos)
	if err != nil {
		panic(err)
	}
	return v
}

// mine is the record of a pod whose sandbox is this process.
func mine(t *testing.T, id string) record {
	t.Helper()
	tasks, _, err := timens.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if task.PID == os.Getpid() {
			return record{id, task.PID, task.StartTicks}
		}
	}
	t.Fatal("this process is not among the processes")
	return record{}
}

// keep opens the state below dir, keeps what is given and returns what it had.
func keep(t *testing.T, dir string, r record, list ...plan.Resolved) (had int, err error) {
	t.Helper()
	s, err := openIn([]string{dir}, r, os.Mkdir)
	if err != nil {
		return 0, err
	}
	defer s.close()
	had = len(s.kept)
	if len(list) > 0 {
		err = s.keep(list)
	}
	return had, err
}

const snapshot = "v1:monotonic=5:boottime=6.5:realtime=1767225600:host-boottime=100:boot-id=00000000-1111-2222-3333-444444444444"

func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "oci-timens")
	r := mine(t, "ab12")
	zero := plan.Resolved{Reading: reading(timens.Boottime, "=0"), Offset: offset(-345600, 5e8)}
	hour := plan.Resolved{Reading: reading(timens.Monotonic, "=1h"), Offset: offset(7, 0)}
	from, err := timens.ParseSnapshot(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	resumed := plan.Resolved{Reading: plan.Reading{Clock: timens.Monotonic, Setting: timens.ResumeSetting(from)}, Offset: offset(1, 0)}
	for i, list := range [][]plan.Resolved{{zero}, {hour}, {resumed}, nil} {
		if had, err := keep(t, dir, r, list...); err != nil || had != i {
			t.Errorf("step %d: had %d, %v", i, had, err)
		}
	}
	s, err := openIn([]string{dir}, r, os.Mkdir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if got := s.kept[reading(timens.Monotonic, "=3600s")]; got != hour.Offset || s.kept[zero.Reading] != zero.Offset || s.kept[resumed.Reading] != resumed.Offset {
		t.Errorf("kept %v", s.kept)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pods", r.name()))
	if want := "oci-timens pod 1\nmonotonic " + snapshot + " 1 0\nmonotonic =1h 7 0\nboottime =0 -345600 500000000\nend\n"; string(text) != want || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// TestPrune has a new pod remove records of those that have ended, and no others.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	r := mine(t, "ab12")
	reused := record{"reused", r.pid, r.start + 1}
	zero := plan.Resolved{Reading: reading(timens.Boottime, "=0")}
	for _, old := range []record{{"dead", 1<<22 - 1, 5}, reused, {"x.y", 1<<22 - 1, 5}, {"other", r.pid, r.start}} {
		if _, err := keep(t, dir, old); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "pods", old.name()), "x", 0o600)
	}
	for _, name := range []string{"unknown", ".new", "a.b.c"} {
		write(t, filepath.Join(dir, "pods", name), "x", 0o600)
	}
	if _, err := keep(t, dir, r, zero); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(filepath.Join(dir, "pods"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range names {
		got = append(got, n.Name())
	}
	want := strings.Join([]string{"a.b.c", r.name(), record{"other", r.pid, r.start}.name(), "unknown"}, " ")
	if strings.Join(got, " ") != want {
		t.Errorf("left are %q, want %s", got, want)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func TestRefuses(t *testing.T) {
	r := mine(t, "ab12")
	const whole = "oci-timens pod 1\nboottime =0 -1 0\nend\n"
	for name, tt := range map[string]struct {
		text string
		make func(t *testing.T, dir, file string)
		want string
	}{
		"empty":           {"", nil, "it is no record of a pod's clocks, or not a whole one: restart the pod, or remove the file"},
		"cut off":         {whole[:len(whole)-4], nil, "not a whole one"},
		"something else":  {"end\nend\nend\n", nil, "not a whole one"},
		"a bad line":      {strings.Replace(whole, "boottime", "realtime", 1), nil, `line 2 "realtime =0 -1 0": unknown clock "realtime"`},
		"a bad reading":   {strings.Replace(whole, "=0", "=x", 1), nil, `line 2 "boottime =x -1 0"`},
		"a bad snapshot":  {strings.Replace(whole, "=0", "v1:x", 1), nil, `line 2 "boottime v1:x -1 0"`},
		"a bad number":    {strings.Replace(whole, "-1", "-", 1), nil, `line 2 "boottime =0 - 0"`},
		"too few":         {strings.Replace(whole, " 0\n", "\n", 1), nil, `want "clock =reading seconds nanoseconds"`},
		"out of range":    {strings.Replace(whole, "-1 0", "0 1000000000", 1), nil, `line 2 "boottime =0 0 1000000000"`},
		"too long":        {whole + strings.Repeat("x", maxText), nil, "it is longer than 24576 bytes"},
		"writable by all": {whole, func(t *testing.T, _, file string) { chmod(t, file, 0o666) }, "it is no regular file that only this user can write to"},
		"a link":          {"", func(t *testing.T, dir, file string) { os.Remove(file); symlink(t, dir, file) }, "path escapes from parent"},
		"a folder": {"", func(t *testing.T, _, file string) { os.Remove(file); mkdir(t, file) },
			"it is no regular file that only this user can write to"},
		"its folder is writable by all": {whole, func(t *testing.T, dir, _ string) { chmod(t, dir+"/pods", 0o777) }, "can be written to by others"},
		"the one above is":              {whole, func(t *testing.T, dir, _ string) { chmod(t, dir, 0o777) }, "can be written to by others"},
		"a file in its folder's place":  {"", func(t *testing.T, dir, _ string) { os.RemoveAll(dir + "/pods"); write(t, dir+"/pods", "", 0o600) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			chmod(t, dir, 0o700)
			file := filepath.Join(dir, "pods", r.name())
			write(t, file, tt.text, 0o600)
			if tt.make != nil {
				tt.make(t, dir, file)
			}
			if _, err := keep(t, dir, r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// TestMany bounds what the author of a pod can have kept.
func TestMany(t *testing.T) {
	var list []plan.Resolved
	for i := range int64(maxKept) {
		list = append(list, plan.Resolved{Reading: plan.Reading{Clock: timens.Boottime, Setting: timens.ReadsSetting(offset(9e17+i, 123456789))}, Offset: offset(-9e17, 987654321)})
	}
	dir := t.TempDir()
	if _, err := keep(t, dir, mine(t, "a"), list...); err != nil {
		t.Fatal(err)
	}
	if had, err := keep(t, dir, mine(t, "a"), plan.Resolved{Reading: reading(timens.Monotonic, "=0")}); had != maxKept || err == nil ||
		err.Error() != "its containers ask for more than 64 different readings" {
		t.Errorf("had %d, %v", had, err)
	}
}

// TestLoop has a container go on from a new snapshot more often than a record is long.
func TestLoop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "oci-timens")
	from, err := timens.ParseSnapshot(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	zero := plan.Resolved{Reading: reading(timens.Monotonic, "=0")}
	for i := range 2 * maxKept {
		from.Clocks.Monotonic++
		resumed := plan.Reading{Clock: timens.Monotonic, Setting: timens.ResumeSetting(from)}
		if had, err := keep(t, dir, mine(t, "a"), plan.Resolved{Reading: resumed}, zero); err != nil || had > maxKept || (i > 0 && had < 2) {
			t.Fatalf("%d: had %d, %v", i, had, err)
		}
	}
}

// TestLook changes nothing.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	s, err := look(mine(t, "looked-at"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.keep([]plan.Resolved{{Reading: reading(timens.Boottime, "=0")}}); err != nil {
		t.Error(err)
	}
	list, err := folders()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(list, dir) {
		if names, _ := filepath.Glob(filepath.Join(f, "pods", "looked-at.*")); len(names) > 0 {
			t.Errorf("%q", names)
		}
	}
}

// TestFolder passes over a folder that cannot be used, and not over one that cannot be
// used at the moment: who looked there before has kept something, perhaps.
func TestFolder(t *testing.T) {
	good := t.TempDir()
	for _, tt := range []struct {
		errno  syscall.Errno
		passed bool
	}{{syscall.EACCES, true}, {syscall.EROFS, true}, {syscall.ENOENT, true}, {syscall.EMFILE, false}, {syscall.ENOMEM, false}, {syscall.EIO, false}, {syscall.ENOSPC, false}} {
		mkdir := func(path string, mode os.FileMode) error {
			if strings.HasPrefix(path, good) {
				return os.Mkdir(path, mode)
			}
			return &os.PathError{Op: "mkdir", Path: path, Err: tt.errno}
		}
		root, err := openFolder([]string{"/first", good}, "pods", mkdir)
		if root != nil {
			root.Close()
		}
		if passed := err == nil; passed != tt.passed || !passed && !errors.Is(err, tt.errno) {
			t.Errorf("%v: %v", tt.errno, err)
		}
	}
}
