package criu

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

func TestMain(m *testing.M) { os.Exit(machine.Main(m)) }

// lowLevel is a low-level runtime, and how it is called here.
type lowLevel struct {
	name, path, version string
	// cgroups makes CRIU leave them alone, which it cannot dump here.
	cgroups string
}

var runtimes = []lowLevel{
	{"runc-1.5.2", "/opt/runc-1.5.2/runc", "runc version 1.5.2", "ignore"},
	{"runc-1.1.15", "/usr/sbin/runc", "runc version 1.1.15", "soft"},
	{"crun-1.21", "/usr/bin/crun", "crun version 1.21", "ignore"},
}

// stand is a machine with CRIU, runtimes and the shim.
type stand struct {
	*machine.Machine
	t    testing.TB
	made int // containers
}

func newStand(t testing.TB) *stand {
	t.Helper()
	s := &stand{Machine: machine.New(t, machine.Tool(t, "criu-1")), t: t}
	s.Install()
	s.Copy(machine.Tool(t, "runc-1.5.2"), "/opt/runc-1.5.2/runc", 0o755)
	s.Copy(machine.Programs(t).Probe, "/probe", 0o755)
	return s
}

// container is one that the probe lives in.
type container struct {
	*stand
	lowLevel
	id, bundle string
}

// config is of a container without a network of its own, which a restored one would have
// to be given by its engine.
const config = `{"ociVersion":"1.0.2","root":{"path":"rootfs"},
"process":{"cwd":"/","args":%s,"env":["PATH=/"],"noNewPrivileges":true,"capabilities":{}},
"annotations":%s,
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},
 {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"]}],
"linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"}%s]%s}}`

const seenFile = "/tmp/seen"

// newContainer makes the bundle of a container that watches its clocks.
func (s *stand) newContainer(l lowLevel, annotations map[string]string, namespaces, linux string) *container {
	s.t.Helper()
	s.made++
	c := &container{stand: s, lowLevel: l, id: fmt.Sprintf("c%d", s.made)}
	c.bundle = "/bundles/" + c.id
	if annotations == nil {
		annotations = map[string]string{}
	}
	asked, err := json.Marshal(annotations)
	if err != nil {
		s.t.Fatal(err)
	}
	args := `["/probe","watch","` + seenFile + `","1h"]`
	s.Write(c.bundle+"/config.json", fmt.Sprintf(config, args, asked, namespaces, linux), 0o644)
	s.Write(c.bundle+"/rootfs/tmp/.keep", "", 0o644)
	for _, d := range []string{"proc", "dev"} {
		s.Write(c.bundle+"/rootfs/"+d+"/.keep", "", 0o644)
	}
	s.Write(c.images()+"-work/.keep", "", 0o644)
	s.Copy(machine.Programs(s.t).Probe, c.bundle+"/rootfs/probe", 0o755)
	return c
}

// shim is the shim with the container's runtime; a variable named TIMENS_ is for it.
func (c *container) shim(args ...string) []string {
	conf := "/etc/oci-timens/" + c.name + ".toml"
	c.Write(conf, "runtimes = [\""+c.path+"\"]\n", 0o644)
	return append([]string{"TIMENS_CONFIG=" + conf, "timens-runc", "--log", c.log()}, args...)
}

// quiet runs a command whose container has no file of ours open: CRIU takes none.
func quiet(args []string) []string {
	var env []string
	for strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	return append(append(env, "sh", "-c", `exec "$@" </dev/null >/dev/null 2>&1`, "sh"), args...)
}

// try runs the shim. An error holds what it said.
func (c *container) try(args []string) error {
	os.Remove(c.Path(c.log()))
	_, err := c.Try(quiet(args)...)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, c.logged())
	}
	return err
}

func (c *container) log() string { return "/run/" + c.id + ".log" }

// logged is what the last run of the shim and of the runtime wrote to --log.
func (c *container) logged() string {
	text, err := os.ReadFile(c.Path(c.log()))
	if err != nil && !os.IsNotExist(err) {
		c.t.Error(err)
	}
	return string(text)
}

func (c *container) must(args []string) {
	c.t.Helper()
	if err := c.try(args); err != nil {
		log, _ := filepath.Glob(c.Path("/images/" + c.id + "*/*.log"))
		for _, f := range log {
			text, _ := os.ReadFile(f)
			c.t.Logf("%s:\n%s", f, errorsIn(string(text)))
		}
		c.t.Fatal(err)
	}
}

// errorsIn picks what CRIU calls one.
func errorsIn(log string) string {
	var found []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "Error (") {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

func (c *container) start() {
	c.t.Helper()
	c.must(c.shim("run", "--detach", "--bundle", c.bundle, "--pid-file", "/run/"+c.id+".pid", c.id))
	c.watches(strconv.Itoa(c.pid()))
}

// watches waits until the probe has armed its timers: before that a SIGHUP ends it.
func (s *stand) watches(pid string) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		open, _ := filepath.Glob(s.Path("/proc/" + pid + "/fd/*"))
		for _, f := range open {
			if to, _ := os.Readlink(f); strings.Contains(to, "timerfd") {
				return
			}
		}
	}
	s.t.Fatal("the probe does not watch")
}

func (c *container) images() string { return "/images/" + c.id }

func (c *container) checkpoint(more ...string) []string {
	return c.shim(append(append([]string{"checkpoint", "--image-path", c.images(), "--work-path", c.images() + "-work",
		"--manage-cgroups-mode", c.cgroups}, more...), c.id)...)
}

func (c *container) restore(more ...string) []string {
	return c.shim(append(append([]string{"restore", "--detach", "--image-path", c.images(), "--work-path", c.images() + "-work",
		"--manage-cgroups-mode", c.cgroups, "--bundle", c.bundle, "--pid-file", "/run/" + c.id + ".pid"}, more...), c.id)...)
}

func (c *container) kill() { c.Try(c.shim("delete", "--force", c.id)...) }

// pid is init's, as the machine counts.
func (c *container) pid() int {
	c.t.Helper()
	text, err := os.ReadFile(c.Path("/run/" + c.id + ".pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		c.t.Fatal(err)
	}
	return pid
}

// seen asks the probe what it has seen.
func (c *container) seen() probe.Watch {
	c.t.Helper()
	file := c.Path(c.bundle + "/rootfs" + seenFile)
	os.Remove(file)
	end := time.Now().Add(20 * time.Second)
	var asked time.Time
	for ; time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if time.Since(asked) > time.Second {
			asked = time.Now()
			c.Run("kill", "-HUP", strconv.Itoa(c.pid()))
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var w probe.Watch
		if err := json.Unmarshal(text, &w); err != nil {
			c.t.Fatal(err)
		}
		return w
	}
	c.t.Fatal("the probe does not answer")
	return probe.Watch{}
}
