package spec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runc/libcontainer/configs/validate"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// runcAccepts asks runc's own code whether it would take a config.json.
func runcAccepts(t *testing.T, text []byte) error {
	t.Helper()
	var s specs.Spec
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	bundle := t.TempDir()
	t.Chdir(bundle)
	if err := os.Mkdir(filepath.Join(bundle, "rootfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: "c", Spec: &s})
	if err != nil {
		return err
	}
	return validate.Validate(config)
}

func TestRuncAcceptsSetTime(t *testing.T) {
	for name, prepare := range map[string]func(*specs.Spec){
		"as runc spec makes it": func(*specs.Spec) {},
		"as Docker sends it": func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		},
		"offsets there": func(s *specs.Spec) {
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 5}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := specconv.Example()
			prepare(s)
			text, err := json.MarshalIndent(s, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			o := offsets(t, "+1h", "-0.5s")
			d := document(t, string(text))
			if err := d.SetTime(o); err != nil {
				t.Fatal(err)
			}
			if err := runcAccepts(t, d.Bytes()); err != nil {
				t.Fatalf("runc says: %v\n%s", err, d.Bytes())
			}
			// The typed specification agrees, and nothing else is another.
			s = specconv.Example()
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 3600}, "boottime": {Secs: -1, Nanosecs: 500000000}}
			var got specs.Spec
			if err := json.Unmarshal(d.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s, &got); diff != "" {
				t.Error(diff)
			}
			// What is inserted is laid out as encoding/json would.
			again, err := json.MarshalIndent(json.RawMessage(d.Bytes()), "", "\t")
			if err != nil || string(again) != string(d.Bytes()) {
				t.Errorf("%v, laid out otherwise:\n%s", err, d.Bytes())
			}
		})
	}
}

// What Time refuses, or SetTime mends, runc refuses too: neither is stricter
// than it has to be.
func TestRuncRefusesWhatWeDo(t *testing.T) {
	entry := map[string]string{"type": "time"}
	for name, edit := range map[string]func(*Document) error{
		"no namespace": func(d *Document) error { return d.Set(5, "linux", "timeOffsets", "boottime", "secs") },
		"path and offsets": func(d *Document) error {
			entry := map[string]string{"type": "time", "path": "/proc/self/ns/time"}
			if err := d.Append(entry, "linux", "namespaces"); err != nil {
				return err
			}
			return d.Set(5, "linux", "timeOffsets", "boottime", "secs")
		},
		"two entries": func(d *Document) error {
			if err := d.Append(entry, "linux", "namespaces"); err != nil {
				return err
			}
			return d.Append(entry, "linux", "namespaces")
		},
		"another type": func(d *Document) error { return d.Set("5", "linux", "timeOffsets", "boottime") },
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(specconv.Example())
			if err != nil {
				t.Fatal(err)
			}
			d := document(t, string(text))
			if err := edit(d); err != nil {
				t.Fatal(err)
			}
			if err := runcAccepts(t, d.Bytes()); err == nil {
				t.Error("runc accepts it")
			}
			if _, err := d.Time(); (err == nil) != (name == "no namespace") {
				t.Errorf("Time: %v", err)
			}
		})
	}
}
