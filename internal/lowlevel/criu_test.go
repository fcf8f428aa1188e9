package lowlevel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestFindCRIU has scripts stand for criu, as far as the words go that it answers with;
// the real ones are asked in integration/.
func TestFindCRIU(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "criu")
	t.Setenv("PATH", dir)
	if os.Geteuid() != 0 {
		t.Skip("criu is asked by root alone")
	}
	_, err := FindCRIU()
	want := `CRIU is missing: there is no criu in PATH="` + dir + `", and runc and crun need it to checkpoint and to restore; install it`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	for _, tt := range []struct{ script, version, err string }{
		{`echo "Version: 4.1.1"`, "4.1.1", ""},
		{`echo "Version: 4.2"; echo "GitID: v4.2"`, "4.2", ""},
		{`echo "Version: 3.11"`, "3.11", "CRIU 3.11 (" + path + ") knows no time namespaces, and would restore the container with other clocks: CRIU 3.14 and later do"},
		{`[ $1 = check ] || { echo "Version: 3.17.1"; exit; }; exec >&2; echo "Warn  (criu/x.c:1): y"; echo "Error (criu/util.c:641): exited, status=4"; echo "Error (criu/vdso.c:7): no"; echo "Error (criu/k.c:8): init"; exit 1`,
			"3.17.1", "CRIU 3.17.1 (" + path + `) does not work on this kernel: criu check: exit status 1: "no; init"; install a later CRIU`},
		{`[ $1 = check ] || { echo "Version: 3.17.1"; exit; }; kill -9 $$`, "3.17.1", "CRIU 3.17.1 (" + path + `) does not work on this kernel: criu check: signal: killed; install a later CRIU`},
		{`echo "no libnet.so" >&2; exit 127`, "", "CRIU: " + path + ` --version: exit status 127: "no libnet.so"`},
	} {
		program(t, path, tt.script)
		got, err := findCRIU(nil, askCRIU)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != tt.err || got != (CRIU{path, tt.version}) {
			t.Errorf("%s: got %+v, %v\nwant %s", tt.script, got, err, tt.err)
		}
	}
}

func TestFindCRIUCache(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("nothing is kept for others than root")
	}
	dir := t.TempDir()
	path, cacheDir := filepath.Join(dir, "criu"), filepath.Join(dir, "cache")
	t.Setenv("PATH", dir)
	calls := 0
	refusal := errors.New("does not work")
	check := func(step string, answer error, wantCalls int) {
		t.Helper()
		got, err := findCRIU([]string{cacheDir}, func(string) (string, error) {
			calls++
			return "4.1.1", answer
		})
		want := answer
		if answer == errNoAnswer {
			want = nil // it is taken to work, but not for ever
		}
		if got != (CRIU{path, "4.1.1"}) || !errors.Is(err, want) || calls != wantCalls {
			t.Errorf("%s: got %+v, %v after %d calls", step, got, err, calls)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("\x7fELF, 1")
	check("refused", refusal, 1)
	check("and still", refusal, 2)
	check("does not answer", errNoAnswer, 3)
	check("works", nil, 4)
	check("kept", nil, 4)
	if all := known([]string{cacheDir}); len(all) > 0 {
		t.Errorf("taken for a low-level runtime: %+v", all)
	}
	write("\x7fELF, version 2")
	check("written to", nil, 5)
}
