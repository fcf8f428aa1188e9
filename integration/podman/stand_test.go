package podman

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

func TestMain(m *testing.M) {
	code := machine.Main(m)
	if err := results.write(); err != nil {
		fmt.Fprintf(os.Stderr, "matrix: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// image is the probe's, see machine.Image.
const image = "localhost/probe:latest"

// release is a distribution with its podman and low-level runtimes.
type release struct {
	name     string
	podman   string // its version
	tree     func(testing.TB) string
	runtimes []lowLevel
	// precreate: podman passes linux.timeOffsets on, which its types know from 4.6.
	precreate bool
}

// lowLevel is a low-level runtime.
type lowLevel struct {
	version, path string
	exec          bool // joins the container's time namespace
}

const newRunc = "/opt/runc-1.5.2/runc"

var releases = []release{
	{
		name: "debian12", podman: "4.3.1",
		tree: func(testing.TB) string { return "/" },
		runtimes: []lowLevel{
			{"crun 1.8.1", "/usr/bin/crun", true}, {"runc 1.1.5", "/usr/sbin/runc", false}, {"runc 1.5.2", newRunc, true},
		},
	},
	{
		name: "debian13", podman: "5.4.2", precreate: true,
		tree: func(t testing.TB) string { return machine.Tool(t, "debian13-1") },
		runtimes: []lowLevel{
			{"crun 1.21", "/usr/bin/crun", true}, {"runc 1.1.15", "/usr/sbin/runc", false}, {"runc 1.5.2", newRunc, true},
		},
	},
}

// users are who runs podman.
var users = []string{"root", "rootless"}

// settings make podman run in a machine without systemd, network and the right to
// raise limits. catatonit, of which podman makes pods' own containers, is no part of
// what is tested: the probe's image has to do.
const settings = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "host"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "` + image + `"
`

// stand is a machine on which a user has podman and the probe's image.
type stand struct {
	*machine.Machine
	release
	below bool // its files are those of the machine below
	user  string
	home  string
	as    []string // what makes a command the user's
}

func newStand(t *testing.T, r release, user string) *stand {
	t.Helper()
	archive := machine.Image(t, image)
	tree := r.tree(t)
	s := &stand{Machine: machine.New(t, tree), release: r, below: tree == "/", user: user}
	if _, err := s.Try("podman", "--version"); err != nil {
		testenv.Lacks(t, "podman", err)
	}
	s.expectVersion(t, "podman version "+r.podman, "podman")
	s.Install()
	s.Copy(machine.Tool(t, "runc-1.5.2"), newRunc, 0o755)
	for _, l := range r.runtimes {
		s.expectVersion(t, strings.Replace(l.version, " ", " version ", 1), l.path)
	}
	s.Write("/etc/containers/containers.conf.d/10-machine.conf", settings, 0o644)
	s.Copy(archive, "/image.tar", 0o644)
	s.as = []string{"PODMAN_IGNORE_CGROUPSV1_WARNING=1"}
	s.home = "/root"
	if user != "root" {
		s.addUser(t)
	}
	s.podman(t, "load", "-q", "-i", "/image.tar")
	s.Write(logFile, "", 0o666)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s", logFile, s.log(t))
		}
	})
	return s
}

// logFile is where hook and shim log.
const logFile = "/run/timens.log"

func (s *stand) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.Path(logFile))
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// setup names the low-level runtime to shim and precreate hook, and whatever more
// there is to say in their configuration.
func (s *stand) setup(l lowLevel, more string) {
	s.Write("/etc/oci-timens/config.toml", fmt.Sprintf("runtimes = [%q]\nlog-file = %q\n%s", l.path, logFile, more), 0o644)
}

// expectVersion makes sure that the results are of what they say.
func (s *stand) expectVersion(t *testing.T, want, program string) {
	t.Helper()
	out, err := s.Try(program, "--version")
	if err != nil || !strings.HasPrefix(out.Stdout, want) {
		testenv.Lacks(t, want, cmp.Or(out.Stdout, fmt.Sprint(err)))
	}
}

// addUser makes everything that podman wants of an ordinary user. The storage is in
// memory, as the machine's files are on an overlay, which carries no other.
func (s *stand) addUser(t *testing.T) {
	s.home = "/home/timens"
	s.run0(t, "useradd", "--create-home", "--shell", "/bin/sh", "timens")
	uid := s.run0(t, "id", "-u", "timens")
	run := "/run/user/" + uid
	storage := s.storage()
	s.run0(t, "sh", "-c", `set -e; mkdir -p "$1" "$2"; chmod 700 "$1"; mount -t tmpfs -o mode=755 tmpfs "$2"
chown timens: "$1" "$2" "$2"/../.. "$2"/..`, "sh", run, storage)
	s.as = append(s.as, "HOME="+s.home, "USER=timens", "XDG_RUNTIME_DIR="+run,
		"setpriv", "--reuid="+uid, "--regid="+uid, "--init-groups")
}

func (s *stand) storage() string { return filepath.Join(s.home, ".local/share/containers") }

// run0 runs a command as root.
func (s *stand) run0(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.Try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.Stdout)
}

// command runs one as the user.
func (s *stand) command(args ...string) (machine.Output, error) {
	return s.Try(append(s.as[:len(s.as):len(s.as)], args...)...)
}

// run runs a command that has to succeed as the user.
func (s *stand) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.command(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.Stdout)
}

func (s *stand) podman(t *testing.T, args ...string) string {
	t.Helper()
	return s.run(t, append([]string{"podman"}, args...)...)
}

// podmanFails returns what podman wrote to its standard error.
func (s *stand) podmanFails(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.command(append([]string{"podman"}, args...)...)
	if err == nil {
		t.Fatalf("podman %s: succeeded, and should not have:\n%s%s", strings.Join(args, " "), out.Stdout, out.Stderr)
	}
	return out.Stderr
}

// configure runs timensctl configure podman.
func (s *stand) configure(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"timensctl", "configure", "podman"}, args...)
	if s.user != "root" {
		args = append(args, "--rootless")
	}
	return s.run(t, args...)
}

// podmanOwn is what podman itself leaves, below its user's home or the root.
var podmanOwn = []string{".local/share/containers", ".cache", ".config/cni", "/etc/cni/net.d", "/etc/containers/networks"}

// files is what configuring and its removal may have touched. Elsewhere in /etc the
// machine below may be changed while a test runs: a tree of its own is not.
func (s *stand) files() machine.Files {
	etc := []string{"/etc"}
	if s.below {
		etc = []string{"/etc/containers", "/etc/oci-timens", "/etc/cni", "/etc/cdi"}
	}
	files := s.Snapshot(append(etc, "/usr/share/containers", "/usr/libexec/oci", "/var/lib/oci-timens", "/home/timens",
		"/root/.config/containers", "/root/.local/state")...)
	for name := range files {
		for _, own := range podmanOwn {
			if !filepath.IsAbs(own) {
				own = filepath.Join(s.home, own)
			}
			if strings.HasPrefix(name, own) {
				delete(files, name)
			}
		}
	}
	return files
}
