package security

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

const (
	megabyte = 1 << 20
	// most is what hook and shim may need, in KiB. A small container takes 4 MiB.
	most = 96 << 10
	// patience is far beyond what anything here takes on a busy machine, a few seconds.
	patience = 2 * time.Minute
)

// giant is an input of a size that nobody needs.
type giant struct {
	program string   // hook or shim
	args    []string // BUNDLE stands for the bundle
	stdin   func(bundle string) io.Reader
	config  func() string // of the bundle
	size    int64         // to which config.json is extended, with holes
	policy  string
	memory  int // in KiB, 0 for most
	exit    int
	text    string
}

// TestGiant bounds what hook and shim need, and what they say, for giant inputs.
func TestGiant(t *testing.T) {
	requireRoot(t)
	const asks = `"io.timens.boottime":"+1h"`
	text := func(format string) func(string) io.Reader {
		return func(bundle string) io.Reader { return strings.NewReader(fmt.Sprintf(format, bundle)) }
	}
	state := func(annotations string) func(string) io.Reader {
		return text(`{"id":"x","pid":4194000,"bundle":%q,"annotations":{` + annotations + `}}`)
	}
	gigabyte := func(string) io.Reader { return io.LimitReader(spaces{}, 1<<30) }
	annotated := func(annotations string) func() string {
		return func() string {
			return `{"annotations":{` + annotations + `},"linux":{"namespaces":[{"type":"pid"}]}}`
		}
	}
	create := []string{"create", "--bundle", "BUNDLE", "id"}
	const deny = "[policy]\ndeny = [{annotation = \"k*e*y\", value = \"*a*b*c*d\"}]\n"
	for name, tt := range map[string]giant{
		"state of 1 GB": {program: "hook", stdin: gigabyte, exit: 1,
			text: "container state: larger than 1048576 bytes"},
		"state of 1 MB with an annotation": {program: "hook", stdin: state(`"io.timens.boottime":"` + strings.Repeat("9", megabyte-200) + `"`), exit: 1,
			text: "is 1048376 bytes long, at most 4095 are allowed"},
		"state of many annotations": {program: "hook", stdin: state(many(megabyte-200) + asks), exit: 1, text: "process 4194000"},
		"state nested":              {program: "hook", stdin: func(string) io.Reader { return strings.NewReader(strings.Repeat(`{"a":`, 200_000)) }, exit: 1, text: "exceeded max depth"},
		"config.json of 100 MB, hook": {program: "hook", stdin: text(`{"id":"x","pid":4194000,"bundle":%q}`),
			config: annotated(asks), size: 100 * megabyte, exit: 1, text: "config.json: larger than 16777216 bytes"},
		"config.json of 100 MB": {program: "shim", args: create, config: annotated(asks), size: 100 * megabyte, exit: 1, text: "config.json: larger than 16777216 bytes"},
		"config.json of 4 TB":   {program: "shim", args: create, config: annotated(asks), size: 4 << 40, exit: 1, text: "config.json: larger than 16777216 bytes"},
		"annotation of 10 MB": {program: "shim", args: create, config: annotated(`"io.timens.boottime":"` + strings.Repeat("9", 10*megabyte) + `"`), exit: 1,
			text: "is 10485760 bytes long, at most 4095 are allowed"},
		"key of 10 MB": {program: "shim", args: create, config: annotated(`"io.timens.` + strings.Repeat("x", 10*megabyte) + `":"+1h"`), exit: 1,
			text: "is unknown: the keys are"},
		"another's of 10 MB, which a rule is about": {program: "shim", args: create, config: annotated(asks + `,"key":"` + strings.Repeat("abc", 5*megabyte) + `d"`),
			policy: deny, exit: 1, text: "matches rule 1 of policy.deny"},
		"another's key of 10 MB, twice": {program: "shim", args: create,
			config: annotated(asks + `,"` + strings.Repeat("x", 5*megabyte) + `":"","` + strings.Repeat("x", 5*megabyte) + `":""`), exit: 1, text: "appears twice: remove one"},
		"16 MB of annotations": {program: "shim", args: create, config: annotated(many(16*megabyte-200) + asks), exit: 0,
			memory: 512 << 10 /* they are 1.3 million */},
		"16 MB of empty objects": {program: "shim", args: create, config: func() string {
			return `{"annotations":{` + asks + `},"linux":{"x":[` + strings.Repeat("{},", 5*megabyte) + `{}]}}`
		}, exit: 0},
		"16 MB of hooks": {program: "shim", args: create, config: func() string {
			return `{"annotations":{` + asks + `},"hooks":{"createRuntime":[` + strings.Repeat("{},", 5*megabyte) + `{}]}}`
		}, exit: 0},
		"16 MB of nesting": {program: "shim", args: create, config: func() string {
			deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + ","
			return `{"annotations":{` + asks + `},"x":[` + strings.Repeat(deep, 900) + `0]}`
		}, exit: 0},
		"too deep": {program: "shim", args: create, config: func() string { return strings.Repeat(`{"io.timens.x":`, megabyte) }, exit: 1, text: "exceeded max depth"},
		"config.json of 1 GB to precreate": {program: "hook", args: []string{"precreate"}, stdin: gigabyte, exit: 1,
			text: "config.json on the standard input: larger than 16777216 bytes"},
	} {
		t.Run(name, func(t *testing.T) { tt.run(t) })
	}
}

// many are as many annotations as fit into size bytes.
func many(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size-12; i++ {
		fmt.Fprintf(&b, `"%x":"",`, i)
	}
	return b.String()
}

// spaces reads as white space, of which JSON may have any amount.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func (g giant) run(t *testing.T) {
	b := machine.Programs(t)
	dir := t.TempDir()
	bundle, toml := filepath.Join(dir, "bundle"), filepath.Join(dir, "config.toml")
	err := errors.Join(os.Mkdir(bundle, 0o755), os.WriteFile(toml, fmt.Appendf(nil, "runtimes = [%q]\n%s", machine.Program(t, "noop"), g.policy), 0o644))
	if g.config != nil && err == nil {
		path := filepath.Join(bundle, "config.json")
		if err = os.WriteFile(path, []byte(g.config()), 0o644); err == nil && g.size > 0 {
			err = os.Truncate(path, g.size)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	program := map[string]string{"hook": b.Hook, "shim": b.Shim}[g.program]
	args := make([]string, len(g.args))
	for i, a := range g.args {
		args[i] = strings.ReplaceAll(a, "BUNDLE", bundle)
	}
	took := filepath.Join(dir, "took")
	cmd := exec.Command("/proc/self/exe", append([]string{program}, args...)...)
	cmd.Env = append(os.Environ(), "TIMENS_CONFIG="+toml, measureEnv+"="+took)
	if g.stdin != nil {
		cmd.Stdin = g.stdin(bundle)
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	var kib int
	if text, err := os.ReadFile(took); err != nil {
		t.Fatal(err, said.String())
	} else if _, err := fmt.Sscan(string(text), &kib); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d MiB, %v", kib>>10, time.Since(start).Round(time.Millisecond))
	if code := cmd.ProcessState.ExitCode(); code != g.exit || !strings.Contains(said.String(), g.text) || said.Len() > 8<<10 || out.Len() > 0 {
		t.Errorf("exit %d, %d bytes: %.300s\nwant %s", code, said.Len(), said.String(), g.text)
	}
	if kib > cmp.Or(g.memory, most) {
		t.Errorf("took %d KiB of memory", kib)
	}
}
