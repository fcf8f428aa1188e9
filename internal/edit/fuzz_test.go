package edit

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"oci-timens/config"
	"oci-timens/internal/plan"
	"oci-timens/internal/pod"
	"oci-timens/spec"
	"oci-timens/timens"
)

// facts are those of a host on which no time passes.
type facts struct{ runtime plan.Runtime }

func (f facts) Runtime() (plan.Runtime, error) { return f.runtime, nil }
func (facts) Kernel(plan.Runtime) plan.Kernel  { return plan.Kernel{} }
func (facts) Hook() string                     { return "/bin/timens-hook" }
func (facts) Clocks() (h timens.Host, err error) {
	h.Clocks = timens.Clocks{Monotonic: 100 * time.Hour, Boottime: 200 * time.Hour}
	h.Wall = timens.Wall{Realtime: 1e18, BootID: "00000000-1111-2222-3333-444444444444", Boottime: 200 * time.Hour}
	return h, nil
}

func (facts) InPod(_ pod.Member, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	a.Pod = &plan.Pod{}
	return decide(a)
}

// FuzzEdit: a config.json that says anything is edited or refused. What is edited has the
// offsets that were decided, and is another in nothing but what gives them; edited again
// it is the same, and with the annotations gone it has no clocks of ours.
func FuzzEdit(f *testing.F) {
	for i, text := range []string{
		`{"annotations":{"io.timens.boottime":"=0","io.timens.monotonic":"+1h"},"linux":{"namespaces":[{"type":"pid"}]}}`,
		`{"annotations":{"run.oci.timens_offset":"boottime 5 0"},"linux":{"namespaces":[{"type":"time"},{"type":"user"}]},"hooks":{"poststop":[]}}`,
		`{"annotations":{"io.timens.save":"db","io.timens.resume":"saved-or-new:db"},"linux":null,"x":1e400}`,
		`{"annotations":{"io.kubernetes.cri.sandbox-id":"p","io.timens.boottime/pod":"=1h"},"linux":{"timeOffsets":{"monotonic":{"secs":7}},"namespaces":[{"type":"time"}]}}`,
		`{"io.timens.applied":{"timeOffsets":{"monotonic":{"secs":7},"boottime":{}},"namespaceAdded":true},"linux":{"timeOffsets":{"monotonic":{"secs":7},"boottime":{"nanosecs":0}},"namespaces":[{"type":"time"}]}}`,
	} {
		f.Add([]byte(text), byte(i))
	}
	runtimes := []plan.Runtime{{Name: "runc", Version: "1.5.2"}, {Name: "runc", Version: "1.1.5"}, {Name: "crun", Version: "1.8.1"}, {Name: "x", Version: ""}}
	cfg := config.Default()
	cfg.SavedDir = f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte, how byte) {
		edit := Edit
		if how&4 != 0 {
			edit = Filter
		}
		host := facts{runtimes[how&3]}
		d, err := spec.ParseDocument(text)
		if err != nil {
			return
		}
		r, err := edit(d, cfg, host)
		if err != nil {
			if d.Changed() || errors.Is(err, timens.ErrNotSupported) {
				t.Errorf("%v, and\n%s\nbecame\n%s", err, text, d.Bytes())
			}
			return
		}
		if before, after := without(t, text), without(t, d.Bytes()); !reflect.DeepEqual(before, after) {
			t.Errorf("by %v,\n%s\nbecame\n%s", r.Plan, text, d.Bytes())
		}
		checkPlan(t, d, r.Plan)
		twice := parsed(t, d.Bytes())
		again, err := edit(twice, cfg, host)
		if err != nil || again.Plan.Offsets != r.Plan.Offsets || again.Plan.Mechanism != r.Plan.Mechanism || !reflect.DeepEqual(decoded(t, twice.Bytes()), decoded(t, d.Bytes())) {
			t.Errorf("once, by %v,\n%s\ntwice, by %v, %v:\n%s", r.Plan, d.Bytes(), again.Plan, err, twice.Bytes())
		}
		checkForgotten(t, d, r, edit, host, cfg)
	})
}

func parsed(t *testing.T, text []byte) *spec.Document {
	t.Helper()
	d, err := spec.ParseDocument(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return d
}

// checkPlan compares what a runtime would do with what was decided.
func checkPlan(t *testing.T, d *spec.Document, p plan.Plan) {
	t.Helper()
	is, err := d.Time()
	switch {
	case err != nil && p.Mechanism != plan.PassThrough:
		t.Errorf("%v by %v in\n%s", err, p, d.Bytes())
	case p.Mechanism == plan.Native && (is.Offsets != p.Offsets || !is.Present || is.Path != ""):
		t.Errorf("%v is given as %+v:\n%s", p, is, d.Bytes())
	case p.Mechanism == plan.Hooks && !bytes.Contains(d.Bytes(), []byte(`"/bin/timens-hook"`)):
		t.Errorf("%v without a hook:\n%s", p, d.Bytes())
	}
}

// checkForgotten uses the bundle again for a container that asks for nothing.
func checkForgotten(t *testing.T, d *spec.Document, r Result, edit func(*spec.Document, *config.Config, Facts) (Result, error), host facts, cfg *config.Config) {
	if r.Plan.Mechanism != plan.Native {
		return
	}
	next := parsed(t, d.Bytes())
	annotations, err := next.Annotations()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.SetOwnAnnotations(annotations, nil); err != nil {
		t.Fatal(err)
	}
	if next = parsed(t, next.Bytes()); len(annotations) == 0 {
		return
	}
	if _, err := edit(next, cfg, host); err != nil {
		t.Fatalf("%v in\n%s", err, next.Bytes())
	}
	if _, marked, err := next.Get(spec.KeyApplied); marked || err != nil {
		t.Errorf("the mark is left, %v:\n%s", err, next.Bytes())
	}
}

// without is what a document says but for what an edit may change: empty parts go with
// what was in them.
func without(t *testing.T, text []byte) any {
	t.Helper()
	doc := decoded(t, text)
	delete(doc, spec.KeyApplied)
	linux, _ := doc["linux"].(map[string]any)
	delete(linux, "timeOffsets")
	if list, ok := linux["namespaces"].([]any); ok {
		linux["namespaces"] = slices.DeleteFunc(list, func(v any) bool {
			ns, _ := v.(map[string]any)
			return ns["type"] == "time" && (ns["path"] == nil || ns["path"] == "")
		})
	}
	hooks, _ := doc["hooks"].(map[string]any)
	for stage, list := range hooks {
		if list, ok := list.([]any); ok {
			hooks[stage] = slices.DeleteFunc(list, func(v any) bool {
				hook, _ := v.(map[string]any)
				args, _ := hook["args"].([]any)
				return len(args) == 2 && args[0] == "timens-hook" && args[1] == stage
			})
		}
	}
	for _, part := range []struct {
		in  map[string]any
		key string
	}{{linux, "namespaces"}, {hooks, "createRuntime"}, {hooks, "poststart"}, {hooks, "poststop"}, {doc, "linux"}, {doc, "hooks"}} {
		switch v := part.in[part.key].(type) {
		case nil:
			delete(part.in, part.key)
		case map[string]any:
			if len(v) == 0 {
				delete(part.in, part.key)
			}
		case []any:
			if len(v) == 0 {
				delete(part.in, part.key)
			}
		}
	}
	return doc
}

// decoded keeps numbers as they are written.
func decoded(t *testing.T, text []byte) (doc map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return doc
}
