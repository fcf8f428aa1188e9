package migration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/guest"
	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(machine.Main(m)) }

// release is a distribution, whose kernel and programs both hosts have.
type release struct {
	name, tree           string
	kernel, criu, podman string
	runtimes             []lowLevel
}

// lowLevel is a low-level runtime.
type lowLevel struct {
	version, path string
	clocks        bool // gives containers clocks, with this kernel
	exec          bool // joins the container's time namespace
}

const newRunc = "/opt/runc-1.5.2/runc"

var releases = []release{
	{
		"debian12", "guest12-1", "6.1", "3.17.1", "4.3.1",
		[]lowLevel{{"runc 1.5.2", newRunc, true, true}, {"runc 1.1.5", "/usr/sbin/runc", false, false}},
	},
	{
		"debian13", "guest13-1", "6.12", "4.1.1", "5.4.2",
		[]lowLevel{{"crun 1.21", "/usr/bin/crun", true, true}, {"runc 1.5.2", newRunc, true, true}},
	},
}

// host is one of the two.
type host struct {
	*guest.Guest
	release
}

// in is the same host for a part of its test.
func (h *host) in(t *testing.T) *host { return &host{h.In(t), h.release} }

// apart is by how much the hosts' uptimes differ at least: clocks that are not corrected
// would be off by that.
const apart = 20 * time.Second

// startHosts starts two hosts: elder has been up for longer.
func startHosts(t *testing.T, r release) (elder, younger *host) {
	elder = startHost(t, r)
	time.Sleep(time.Until(elder.Started.Add(apart)))
	return elder, startHost(t, r)
}

func startHost(t *testing.T, r release) *host {
	t.Helper()
	tree := machine.Tool(t, r.tree)
	h := &host{guest.New(t, guest.Config{Tree: tree, Memory: 1536}), r}
	if up, err := time.ParseDuration(strings.Fields(h.Run("cat", "/proc/uptime"))[0] + "s"); err != nil || up > time.Since(h.Started) {
		t.Fatalf("the clocks of the guest are wrong: it has been up for %v, of %v: %v", up, time.Since(h.Started), err)
	}
	h.expect(t, r.kernel, "uname", "-r")
	h.expect(t, r.criu, "criu", "--version")
	h.setTime(t)
	h.Install()
	h.Copy(machine.Programs(t).Probe, probePath, 0o755)
	h.Copy(machine.Tool(t, "runc-1.5.2"), newRunc, 0o755)
	for _, l := range r.runtimes {
		_, version, _ := strings.Cut(l.version, " ")
		h.expect(t, version, l.path, "--version")
	}
	return h
}

const probePath = "/opt/probe"

// expect makes sure that the results are of what they say.
func (h *host) expect(t *testing.T, version string, command ...string) {
	t.Helper()
	if out := h.Run(command...); !strings.Contains(out, version) {
		testenv.Lacks(t, fmt.Sprintf("%s %s", command[0], version), out)
	}
}

// setTime sets the date of the host, which it has to the second only. Hosts agree on it to
// what a command takes.
func (h *host) setTime(t *testing.T) {
	t.Helper()
	now := time.Now()
	h.Run("date", "-s", "@"+strconv.FormatInt(now.Unix(), 10)+"."+fmt.Sprintf("%09d", now.Nanosecond()))
}
