package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oci-timens/timens"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func setting(s string) timens.Setting {
	v, err := timens.ParseSetting(s)
	if err != nil {
		panic(err)
	}
	return v
}

func TestTable(t *testing.T) {
	a := attempt{scenario: scenario{setting("+36h"), timens.Setting{}}}
	rows := []row{
		{clock: "CLOCK_MONOTONIC", host: 842123456 * time.Microsecond, container: 130442123456 * time.Microsecond, difference: 36 * time.Hour, asked: "+1d12h", ok: true},
		{clock: "CLOCK_BOOTTIME", host: 842123456 * time.Microsecond, container: 841873456 * time.Microsecond, difference: -250 * time.Millisecond},
	}
	var b bytes.Buffer
	writeTable(&b, "runc 1.5.2", append(rows, a.failed(errors.New("no space\nleft"))...))
	golden(t, "table.txt", b.String())
}

// Every scenario must be possible on a machine that has just started.
func TestScenariosFitTheHost(t *testing.T) {
	for _, up := range []time.Duration{40 * time.Millisecond, 600 * time.Millisecond, 5 * time.Second, 3 * time.Minute, 90 * time.Minute, 400 * 24 * time.Hour} {
		host := timens.Host{Clocks: timens.Clocks{Monotonic: up, Boottime: up + time.Second}}
		for _, s := range scenarios(host.Clocks) {
			var o timens.Offsets
			for _, c := range timens.AllClocks() {
				v, err := s.get(c).Resolve(c, host)
				if err != nil {
					t.Fatal(err)
				}
				o = o.With(c, v)
			}
			if err := o.Check(host.Clocks); err != nil {
				t.Errorf("up %v, %v: %v", up, s.annotations(), err)
			}
		}
	}
}

func TestAsAsked(t *testing.T) {
	const ms = time.Millisecond
	started := timens.Clocks{Monotonic: 9000 * ms, Boottime: 9000 * ms}
	at := func(d time.Duration) sample {
		return sample{
			before: timens.Clocks{Monotonic: 10000 * ms, Boottime: 10000 * ms},
			after:  timens.Clocks{Monotonic: 10002 * ms, Boottime: 10002 * ms},
			report: report{d, d, d, int64(d/time.Second) + 1},
		}
	}
	for _, tt := range []struct {
		setting string
		reads   time.Duration
		want    bool
	}{
		{"+5s", 15001 * ms, true},
		{"+5s", 15003 * ms, false},
		{"+5s", 14999 * ms, false},
		{"-5s", 5001 * ms, true},
		{"+0", 10001 * ms, true},
		{"=0", 0, true},
		{"=0", 1012 * ms, true}, // a clock tick of 10 ms more than since the start
		{"=0", 1013 * ms, false},
		{"=5m", 299 * time.Second, false},
		{"=5m", 300500 * ms, true},
	} {
		for _, c := range timens.AllClocks() {
			if got := asAsked(setting(tt.setting), c, started, at(tt.reads)); got != tt.want {
				t.Errorf("asAsked(%s, %v) with a reading of %v = %v", tt.setting, c, tt.reads, got)
			}
		}
	}
	m := at(15001 * ms)
	m.MonotonicVDSO = 10001 * ms
	if asAsked(setting("+5s"), timens.Monotonic, started, m) {
		t.Error("a vDSO that differs from the system call is taken for right")
	}
	m = at(15001 * ms)
	m.Uptime = 10
	if asAsked(setting("+5s"), timens.Boottime, started, m) {
		t.Error("a sysinfo(2) that differs from the clock is taken for right")
	}
}

// The probe answers once for each line, and its readings of a clock agree.
func TestProbe(t *testing.T) {
	var out bytes.Buffer
	if err := Probe(strings.NewReader("\n\n"), &out); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&out)
	for range 2 {
		var r report
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if diff := r.MonotonicVDSO - r.Monotonic; diff < 0 || diff > time.Second {
			t.Errorf("vDSO %v after system call %v", r.MonotonicVDSO, r.Monotonic)
		}
	}
	if d.More() {
		t.Error("more answers than questions")
	}
}

func TestNeedRoot(t *testing.T) {
	err := needRoot(1000)
	if err == nil || !strings.Contains(err.Error(), "needs root: run it as root, such as with \"sudo timensctl demo\"") {
		t.Errorf("got %v", err)
	}
	if err := needRoot(0); err != nil {
		t.Error(err)
	}
}

func TestRunnersNone(t *testing.T) {
	var errs bytes.Buffer
	_, err := runners(Options{Runtimes: []Runtime{{"/bin/runc", "runc", "1"}}, Err: &errs}, t.TempDir())
	if err == nil || err.Error() != "no runtime is left to show: \"make build\" makes all that the embedded one needs" {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(errs.String(), "runc and crun are left out: timens-runc was not found beside this program") {
		t.Errorf("said %q", errs.String())
	}
}
