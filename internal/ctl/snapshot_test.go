package ctl

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/config"
	"oci-timens/internal/saved"
	"oci-timens/internal/testenv"
	"oci-timens/timens"
)

var aSnapshot = timens.Snapshot{
	Clocks: timens.Clocks{Monotonic: 36*time.Hour + 1, Boottime: 400*24*time.Hour + 500*time.Millisecond},
	Wall:   timens.Wall{Realtime: 1767225600000000001, BootID: "4fdc9b3e-5a61-4b5a-9a2f-8a55a4a0a3d1", Boottime: 15 * time.Minute},
}

func TestSnapshotGolden(t *testing.T) {
	var b strings.Builder
	for _, interval := range []time.Duration{0, 10 * time.Second} {
		s := taken{aSnapshot, "app[100] of container web"}
		s.Interval = interval
		s.write(&b)
		b.WriteString("----\n")
		if err := writeJSON(&b, s.json()); err != nil {
			t.Fatal(err)
		}
		b.WriteString("----\n")
	}
	golden(t, "snapshot.txt", b.String())
}

func TestSnapshotErrors(t *testing.T) {
	dir := savedIn(t, "")
	for args, want := range map[string]string{
		"":                         `a PID or a container is missing: usage: timensctl snapshot PID|CONTAINER|saved:NAME`,
		"1 2":                      `unexpected argument "2": usage: timensctl snapshot PID|CONTAINER|saved:NAME`,
		"saved:db":                 `nothing has been saved as "db" in ` + dir,
		"saved:ns/db":              `nothing has been saved as "ns/db" in ` + dir,
		"saved:../db":              `"../db" is no name of a snapshot, nor NAMESPACE/NAME: a name is up to 64 letters, digits, "-", "_" and "."; the first one is a letter or a digit`,
		"--every 10s 1":            `--every needs --save NAME: under which name the snapshots are kept`,
		"--save db saved:x":        `--save: "saved:x" is saved already: name a container that runs`,
		"--save db --every 10ms 1": `--every 10ms is less than 1s: each snapshot has to reach the disk`,
		"--save db --every 0s 1":   `--every 0s is less than 1s: each snapshot has to reach the disk`,
		"--save a/b/c 1":           `--save: "a/b/c" is no name of a snapshot, nor NAMESPACE/NAME`,
		"--save db 99999999":       `no running container has the id "99999999"`,
		"--output xml 1":           `unknown format "xml": want table or json`,
	} {
		status, out, errs := timensctl(append([]string{"snapshot"}, strings.Fields(args)...)...)
		if status != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %q, %q\nwant %s", args, status, out, errs, want)
		}
	}
	savedIn(t, "[policy]\nmax-saved = 0\n")
	if status, _, errs := timensctl("snapshot", "--save", "db", "1"); status != 1 || !strings.Contains(errs, "--save: policy.max-saved of this host's configuration is 0") {
		t.Errorf("status %d, %q", status, errs)
	}
}

// savedIn has snapshots be kept in a folder of the test's own.
func savedIn(t *testing.T, toml string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "saved")
	path := filepath.Join(filepath.Dir(dir), "config.toml")
	if err := os.WriteFile(path, []byte(fmt.Sprintf("saved-dir = %q\n%s", dir, toml)), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(config.EnvPath, path)
	return dir
}

// sleeper is a process with this test's clocks.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	if err := timens.HaveTimeNamespaces(); err != nil {
		testenv.Lacks(t, "timens", err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

func TestSnapshot(t *testing.T) {
	pid := fmt.Sprint(sleeper(t).Process.Pid)
	before, err := timens.ReadClocks()
	if err != nil {
		t.Fatal(err)
	}
	status, out, errs := timensctl("snapshot", "--annotation", pid)
	after, err := timens.ReadClocks()
	if err != nil || status != 0 || errs != "" {
		t.Fatalf("%v, status %d, %q, %q", err, status, out, errs)
	}
	text, ok := strings.CutPrefix(out, "io.timens.resume=")
	s, err := timens.ParseSnapshot(strings.TrimSpace(text))
	if !ok || err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	for _, c := range timens.AllClocks() {
		if v := s.Clocks.Get(c); v < before.Get(c) || v > after.Get(c) {
			t.Errorf("%v reads %v, not between %v and %v", c, v, before, after)
		}
	}
	if status, out, _ = timensctl("snapshot", "-o", "json", pid); status != 0 || !json.Valid([]byte(out)) {
		t.Errorf("status %d, %q", status, out)
	}
}

// TestSnapshotEvery keeps the clocks of a process until it ends, and what they read then.
func TestSnapshotEvery(t *testing.T) {
	dir := savedIn(t, "[policy]\nmax-saved = 1\n")
	p := sleeper(t)
	pid := fmt.Sprint(p.Process.Pid)
	done := make(chan string, 1)
	go func() {
		status, out, errs := timensctl("snapshot", "--save", "db", "--every", "1s", pid)
		done <- fmt.Sprint(status, out, errs)
	}()
	path := filepath.Join(dir, "db")
	var texts []string
	for limit := time.Now().Add(10 * time.Second); len(texts) < 3; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err == nil && (len(texts) == 0 || texts[len(texts)-1] != string(text)) {
			texts = append(texts, string(text))
		}
		if time.Now().After(limit) {
			t.Fatalf("only %d snapshots: %q", len(texts), texts)
		}
	}
	if !strings.Contains(texts[2], ":interval=1\n") {
		t.Errorf("no interval: %s", texts[2])
	}
	if status, _, errs := timensctl("snapshot", "--save", "full", pid); status != 1 || !strings.Contains(errs, dir+" has 1 snapshots, and policy.max-saved allows no more") {
		t.Errorf("one too many: status %d, %q", status, errs)
	}
	before, err := timens.ReadClocks()
	if err != nil {
		t.Fatal(err)
	}
	p.Process.Kill()
	if said := <-done; said != "0" {
		t.Error(said)
	}
	after, err := timens.ReadClocks()
	if err != nil {
		t.Fatal(err)
	}
	host, err := timens.Host{}.WithWall()
	if err != nil {
		t.Fatal(err)
	}
	s, note, err := saved.In(&config.Config{SavedDir: dir}).Lookup("db", host)
	if err != nil || note != "" || s.Interval != 0 || s.Clocks.Monotonic < before.Monotonic || s.Clocks.Monotonic > after.Monotonic {
		t.Errorf("%v, %q, %v; want between %v and %v", s, note, err, before, after)
	}
	if status, out, errs := timensctl("snapshot", "--annotation", "saved:db"); status != 0 || out != fmt.Sprintf("io.timens.resume=%v\n", s) || errs != "" {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
}
