package shim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/spec"
)

// pods are the bundles of a sandbox and of a container in its pod, and a runtime.
type pods struct{ dir string }

func newPods(t testing.TB) pods {
	t.Helper()
	unconfigured(t)
	p := pods{t.TempDir()}
	makeProgram(t, filepath.Join(p.dir, "bin/runc"), "", 0o755)
	return p
}

func (p pods) env() []string { return []string{"PATH=" + filepath.Join(p.dir, "bin")} }

// set writes both files; "" is for none.
func (p pods) set(t testing.TB, container, sandbox string) {
	t.Helper()
	for name, text := range map[string]string{"c1": container, "box": sandbox} {
		if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			makeProgram(t, filepath.Join(p.dir, name, "config.json"), text, 0o644)
		}
	}
}

// create tells whether a container is handed on early, and compares with the usual way: that
// must hand it on likewise, and leave config.json as it is. Of a container in a pod it may say
// that config.json is none, which it leaves to the runtime otherwise.
func (p pods) create(t *testing.T, id string, args ...string) bool {
	t.Helper()
	if len(args) == 0 {
		args = []string{"create", "--bundle", "@/" + id, id}
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "@", p.dir)
	}
	if route(args, p.env()) == "" {
		return false
	}
	file := filepath.Join(p.dir, id, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%q is handed on: %v", args, err)
	}
	execs, _, err := usual(t, args, p.env())
	switch {
	case err != nil && strings.HasPrefix(err.Error(), file+": ") && !spec.Mentioned(text) && bytes.Contains(text, []byte("kubepods")):
	case err != nil || len(execs) != 1 || execs[0][0] != filepath.Join(p.dir, "bin/runc"):
		t.Errorf("%q: handed on early, and otherwise not so: %v, %q\n%s", args, err, execs, text)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, text) {
		t.Errorf("%q: handed on early, and otherwise %v\n%s", args, err, after)
	}
	return true
}

const inBox = `{"annotations":{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-id":"box"},"linux":{"cgroupsPath":"/kubepods/x"}}`

func TestEarlyCreate(t *testing.T) {
	p := newPods(t)
	const asks = `{"annotations":{"io.timens.boottime":"+1h"}}`
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(inBox) }
	large := func(n int) string { return `{"x":"` + strings.Repeat("a", n-8) + `"}` }
	for name, tt := range map[string]struct {
		container, sandbox string
		want               bool
	}{
		"nothing":                 {`{}`, "", true},
		"no JSON":                 {`nonsense`, "", true},
		"empty":                   {"\n", "", true},
		"asks":                    {asks, "", false},
		"asked before":            {`{"io.timens.applied":{}}`, "", false},
		"at the end":              {`{"a":".timens`, "", false},
		"nearly":                  {`{"a":".timen`, "", true},
		"a seccomp profile":       {`{"names":["utimensat"]}`, "", true},
		"a letter escaped":        {`{"a":".\u0074imens"}`, "", false},
		"another letter escaped":  {`{"annotations":{"io.t\u0069mens.boottime":"+1h"}}`, "", false},
		"the last one escaped":    {`{"annotations":{"io.timen\u0073.boottime":"+1h"}}`, "", false},
		"a capital escaped":       {`{"a":".\u0054imens"}`, "", true},
		"a shell's line":          {`{"process":{"args":["a \u0026\u0026 b \u003e c"]}}`, "", true},
		"a point escaped":         {`{"a":"\u002E"}`, "", false},
		"a dash escaped":          {`{"a":"\u002d"}`, "", false},
		"large":                   {large(len(earlyText) - 2), "", true},
		"too large":               {large(len(earlyText) - 1), "", false},
		"much too large":          {large(len(earlyText) * 2), "", false},
		"in a pod":                {inBox, `{}`, true},
		"in a pod that asks":      {inBox, asks, false},
		"in a pod that asked so":  {inBox, `{"annotations":{"io.\u0074imens.boottime":"+1h"}}`, false},
		"with no sandbox there":   {inBox, "", true},
		"another client's":        {edit("kubepods", "x"), asks, true},
		"in two pods":             {edit(`"box"`, `"box","io.kubernetes.cri.sandbox-id":"x"`), `{}`, false},
		"with spaces":             {edit(`:"box"`, `: "box"`), `{}`, false},
		"its own sandbox":         {edit(`:"box`, `:"c1`), asks, true},
		"no such sandbox":         {edit(`:"box`, `:"c`), asks, true},
		"the key escaped":         {edit("sandbox-id", `s\u0061ndbox-id`), asks, false},
		"the cgroup escaped":      {edit("kubepods", `\u006bubepods`), asks, false},
		"CRI-O's key as well":     {edit(`"linux"`, `"io.kubernetes.cri-o.SandboxID":"other","linux"`), `{}`, false},
		"CRI-O's alone":           {`{"annotations":{"io.kubernetes.cri-o.SandboxID":"box"},"linux":{"cgroupsPath":"/kubepods/x"}}`, asks, true},
		"an ID that is none":      {edit(`:"box`, `:"_box`), `{}`, false},
		"a path for an ID":        {edit(`:"box`, `:"../box`), `{}`, false},
		"no ID":                   {edit(`:"box`, `:"`), `{}`, false},
		"an endless ID":           {edit(`:"box`, `:"`+strings.Repeat("x", 129)), `{}`, false},
		"an ID that ends nowhere": {strings.SplitAfter(edit("/kubepods/x", "", "{", "{kubepods"), `:"box`)[0], `{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			p.set(t, tt.container, tt.sandbox)
			if got := p.create(t, "c1"); got != tt.want {
				t.Errorf("handed on: %v, want %v", got, tt.want)
			}
		})
	}
	// IDs of which one is the beginning of the other, either way.
	for _, id := range []string{"c", "c12"} {
		p.set(t, edit(`:"box`, `:"`+id), "")
		makeProgram(t, filepath.Join(p.dir, id, "config.json"), asks, 0o644)
		if p.create(t, "c1") {
			t.Errorf("in pod %s, which asks: handed on", id)
		}
	}
	// What is read of one file must not be taken for a part of the next.
	p.set(t, inBox, `{`)
	if !p.create(t, "c1") {
		t.Error("a short sandbox: not handed on")
	}
}

func TestEarlyCreateLines(t *testing.T) {
	p := newPods(t)
	p.set(t, `{}`, `{}`)
	for line, want := range map[string]bool{
		"create --bundle @/c1 c1": true,
		"--root /r create --bundle @/c1 --pid-file /p --console-socket /s --no-pivot c1": true,
		"create --no-new-keyring --bundle=@/c1 --pid-file=/p --console-socket=/s c1":     true,
		"run --detach --bundle @/c1 c1":                          true,
		"create --bundle @/c1 --pid-file --bundle c1":            true,
		"create --bundle @/box --bundle @/c1 c1":                 false,
		"create --bundle @/box --bundle=@/c1 c1":                 false,
		"create --bundle @/c1 c1 --bundle @/box":                 false,
		"create --bundle @/c1 c1 c2":                             false,
		"create --bundle @/c1":                                   false,
		"create --bundle @/c1 -- c1":                             false,
		"create --bundle @/c1 --help c1":                         false,
		"create --bundle @/c1 -d c1":                             false,
		"create --bundle @/c1 --preserve-fds 1 c1":               false,
		"create --config x --bundle @/c1 c1":                     false,
		"create -b @/c1 c1":                                      false,
		"create --bundle c1 c1":                                  false,
		"create --bundle @/c1/ c1":                               false,
		"create --bundle @//c1 c1":                               false,
		"create --bundle @/./c1 c1":                              false,
		"create --bundle @/box/../c1 c1":                         false,
		"create --bundle / c1":                                   false,
		"create --bundle @/none c1":                              false,
		"create --bundle @/c1 .":                                 false,
		"create --bundle":                                        false,
		"create --pid-file":                                      false,
		"create c1":                                              false,
		"create":                                                 false,
		"restore --bundle @/c1 c1":                               false,
		"create --bundle " + wrapped(p.dir, "c1") + " c1":        false,
		"create --bundle /" + strings.Repeat("x/", 2048) + " c1": false,
		"create --bundle /" + strings.Repeat("/", 2048) + "x c1": false,
		"create --bundle " + strings.Repeat("/"+strings.Repeat("x", 250), 16) + " --bundle @/c1 c1": false,
	} {
		if got := p.create(t, "c1", strings.Fields(line)...); got != want {
			t.Errorf("%s: handed on: %v, want %v", line, got, want)
		}
	}
}

// wrapped is a name that is too long by that of a folder that is there: begun anew at its end,
// it would be that.
func wrapped(dir, name string) string {
	there := filepath.Join(dir, name)
	const size = len(earlyName)
	return "/" + strings.Repeat("x/", (size-2)/2) + "x" + there
}

// TestEarlyCreateLong has a sandbox whose ID does not fit behind the folder of all bundles.
func TestEarlyCreateLong(t *testing.T) {
	p := newPods(t)
	dir := p.dir
	for len(dir) < len(earlyName)-300 {
		dir += "/" + strings.Repeat("x", 200)
	}
	dir += "/" + strings.Repeat("x", len(earlyName)-40-len(dir))
	if err := os.MkdirAll(dir+"/c1", 0o755); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"box": true, strings.Repeat("b", 64): false} {
		if err := os.WriteFile(dir+"/c1/config.json", []byte(strings.Replace(inBox, `:"box`, `:"`+id, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := route([]string{"create", "--bundle", dir + "/c1", "c1"}, p.env()) != ""; got != want {
			t.Errorf("sandbox %s: handed on: %v, want %v", id, got, want)
		}
	}
}

// TestEarlyCreateFiles puts something else where config.json is. None of it is waited for.
func TestEarlyCreateFiles(t *testing.T) {
	p := newPods(t)
	for _, of := range []string{"c1", "box"} {
		for name, put := range map[string]func(file string) error{
			"nothing":       func(string) error { return nil },
			"a folder":      func(f string) error { return os.Mkdir(f, 0o755) },
			"a link":        func(f string) error { return os.Symlink(filepath.Join(p.dir, "bin/runc"), f) },
			"a broken link": func(f string) error { return os.Symlink("none", f) },
			"a FIFO":        func(f string) error { return unix.Mkfifo(f, 0o600) },
		} {
			p.set(t, inBox, `{}`)
			file := filepath.Join(p.dir, of, "config.json")
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := put(file); err != nil {
				t.Fatal(err)
			}
			if got, want := p.create(t, "c1"), of == "box" && name == "nothing"; got != want {
				t.Errorf("%s in %s: handed on: %v, want %v", name, of, got, want)
			}
		}
	}
}

// FuzzEarlyCreate compares with the usual way, which decides.
func FuzzEarlyCreate(f *testing.F) {
	p := newPods(f)
	f.Add(`{}`, "", "--bundle\n@/c1\n--pid-file\n/p\nc1")
	f.Add(inBox, `{}`, "--bundle=@/c1\nc1")
	f.Add(inBox, `{"annotations":{"io.timens.boottime":"+1h"}}`, "--bundle\n@/c1\nc1")
	f.Add(`{"annotations":{"io.t\u0069mens.boottime":"+1h"}}`, "", "--bundle\n@/c1\nc1")
	f.Add(strings.Replace(inBox, "{", `{"io.kubernetes.cri-o.SandboxID":"x",`, 1), `{}`, "--bundle\n@/c1\nc1")
	f.Add(strings.Replace(inBox, "sandbox-id", `sandbox\u002did`, 1), `{"io.timens.applied":{}}`, "--bundle\n@/c1\nc1")
	f.Add(strings.Replace(inBox, `"annotations":{`, `"annotations":{"io.kubernetes.cri.sandbox-id":"c1"},"x":{`, 1), `{"\u0074imens":1}`, "--detach\n--bundle\n@/c1\nc1")
	f.Fuzz(func(t *testing.T, container, sandbox, line string) {
		line = strings.ReplaceAll(line, "\x00", "")
		if strings.Contains(line, "@/box") {
			return
		}
		p.set(t, container, sandbox)
		p.create(t, "c1", strings.Split("create\n"+line, "\n")...)
	})
}
