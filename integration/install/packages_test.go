package install

import (
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
)

// containersConf is what podman needs where there is neither systemd nor a network,
// nor the right to raise limits.
const containersConf = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`

// TestDeb is the life of the package on a Debian 12 with nothing but podman on it,
// and on a Debian 13.
func TestDeb(t *testing.T) {
	for _, tree := range []string{"debian12-1", "debian13-1"} {
		t.Run(tree, func(t *testing.T) { deb(t, machine.New(t, machine.Tool(t, tree))) })
	}
}

func deb(t *testing.T, m *machine.Machine) {
	m.Copy(debOf(t, runtime.GOARCH), "/root/oci-timens_here.deb", 0o644)
	const image = "localhost/probe:latest"
	m.Copy(machine.Image(t, image), "/root/image.tar", 0o644)
	m.Write("/etc/containers/containers.conf.d/10-test.conf", containersConf, 0o644)
	m.Run("podman", "load", "-q", "-i", "/root/image.tar")
	places := []string{"/etc", "/usr", "/var/lib/oci-timens"}
	before := m.Snapshot(places...)

	m.Run("sh", "-c", "cd /root && apt-get install -y -qq --no-install-recommends ./oci-timens_*.deb")
	if got := m.Run("timensctl", "version"); got != "timensctl "+tag {
		t.Errorf("installed %q", got)
	}
	if got := m.Run("dpkg", "--verify", "oci-timens"); got != "" {
		t.Errorf("dpkg --verify: %s", got)
	}
	if got := m.Run("dpkg-query", "-f", "${Depends}${Pre-Depends}|${Recommends}", "-W", "oci-timens"); got != "|runc | crun" {
		t.Errorf("it depends on %q", got)
	}
	run := func(args ...string) machine.Clocks {
		t.Helper()
		return machine.Ahead(t, machine.Report(t, m.Run(append([]string{"podman", "run", "--rm"}, args...)...)))
	}
	asked := machine.Clocks{Boottime: 36 * time.Hour}
	m.Run("timensctl", "configure", "podman")
	if got := run("--annotation", "io.timens.boottime=+36h", image, "now"); !got.Near(asked) {
		t.Errorf("asked for +36h, got %+v", got)
	}
	// A second configuration, in a file of its own.
	m.Run("timensctl", "configure", "podman", "--mode=runtime", "--config", "/etc/podman of mine.conf")
	if got := run("--annotation", "io.timens.boottime=+36h", image, "now"); !got.Near(asked) {
		t.Errorf("asked for +36h, got %+v", got)
	}
	if got := machine.Ahead(t, machine.Report(t, m.Run("CONTAINERS_CONF=/etc/podman of mine.conf", "podman", "--cgroup-manager=cgroupfs",
		"run", "--rm", "--net=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096",
		"--runtime=timens", "--annotation", "io.timens.boottime=+36h", image, "now"))); !got.Near(asked) {
		t.Errorf("asked for +36h of the shim, got %+v", got)
	}
	if got := run(image, "now"); !got.Near(machine.Clocks{}) {
		t.Errorf("asked for nothing, got %+v", got)
	}

	// An upgrade changes nothing that was set up.
	configured := m.Snapshot("/etc/containers", "/var/lib/oci-timens")
	m.Run("sh", "-c", "cd /root && apt-get install -y -qq --reinstall ./oci-timens_*.deb")
	m.Snapshot("/etc/containers", "/var/lib/oci-timens").Same(t, configured)

	// Removed without a word to the engine, it takes itself out.
	removal := strings.ReplaceAll(m.Run("apt-get", "remove", "-y", "-qq", "oci-timens"), "\r", "")
	for _, file := range []string{"/etc/containers/oci/hooks.d/oci-timens-createruntime.json", "/etc/podman of mine.conf"} {
		if !strings.Contains(removal, "removed "+file+"\n") {
			t.Errorf("nothing of %s in %s", file, removal)
		}
	}
	if got := run("--annotation", "io.timens.boottime=+36h", image, "now"); !got.Near(machine.Clocks{}) {
		t.Errorf("after the removal: %+v", got)
	}
	m.Fail("dpkg", "--status", "oci-timens") // nor is there anything left to purge
	m.Snapshot(places...).Same(t, before)
}

// TestDebEscaped removes the package while an engine is configured in a file whose name
// its removal cannot read: it says where to look, and nothing of that is lost.
func TestDebEscaped(t *testing.T) {
	m := machine.New(t, machine.Tool(t, "debian12-1"))
	m.Copy(debOf(t, runtime.GOARCH), "/root/oci-timens_here.deb", 0o644)
	m.Run("sh", "-c", "cd /root && apt-get install -y -qq --no-install-recommends ./oci-timens_*.deb")
	const config = `/etc/podman "of mine".conf`
	m.Run("timensctl", "configure", "podman", "--mode=runtime", "--config", config)
	m.Run("timensctl", "configure", "podman")
	configured := m.Snapshot(config, "/var/lib/oci-timens")
	record := ""
	for name := range configured {
		if strings.Contains(name, "/podman-") {
			record = name
		}
	}
	removal := strings.ReplaceAll(m.Run("apt-get", "remove", "-y", "-qq", "oci-timens"), "\r", "")
	if want := "oci-timens: podman may still be configured to use what is being removed: see " + record + "\n"; record == "" || !strings.Contains(removal, want) {
		t.Errorf("no %q in %s", want, removal)
	}
	if !strings.Contains(removal, "removed /etc/containers/oci/hooks.d/oci-timens-createruntime.json\n") {
		t.Errorf("what it can read has not been removed: %s", removal)
	}
	for _, name := range []string{config, record} {
		if now := m.Snapshot(name); now[name] == "" || now[name] != configured[name] {
			t.Errorf("%s is %s, was %s", name, now[name], configured[name])
		}
	}
}

// TestDebLists compares what is in the packages with what make install installs.
func TestDebLists(t *testing.T) {
	m := machine.New(t, machine.Tool(t, "debian12-1"))
	for _, arch := range []string{"amd64", "arm64"} {
		m.Copy(debOf(t, arch), "/root/x.deb", 0o644)
		var got []string
		for line := range strings.Lines(m.Run("dpkg-deb", "--contents", "/root/x.deb")) {
			if f := strings.Fields(line); !strings.HasSuffix(line, "/\n") && f[0][0] == '-' {
				if f[1] != "root/root" {
					t.Errorf("it belongs to %s: %s", f[1], line)
				}
				got = append(got, f[0]+" "+strings.TrimPrefix(f[5], "./usr/"))
			}
		}
		got = slices.DeleteFunc(got, isDocument)
		want := slices.Clone(installed)
		want[len(want)-1] = "-rw-r--r-- share/zsh/vendor-completions/_timensctl" // Debian's policy
		want = append(want, "-rw-r--r-- share/doc/oci-timens/changelog.gz", "-rw-r--r-- share/lintian/overrides/oci-timens")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s", arch, strings.Join(got, "\n"))
		}
		if got := m.Run("dpkg-deb", "--field", "/root/x.deb", "Package", "Version", "Architecture"); got !=
			"Package: oci-timens\nVersion: "+packaged+"\nArchitecture: "+arch {
			t.Errorf("%s", got)
		}
	}
}

func isDocument(f string) bool { return regexp.MustCompile(`/docs/[a-z-]+\.md$`).MatchString(f) }

// TestRPM installs and removes the package; an rpm-based distribution is not to be
// had here, and so dependencies are not looked at.
func TestRPM(t *testing.T) {
	m := machine.New(t, machine.Tool(t, "checkers-1"))
	m.Copy(rpmOf(t, runtime.GOARCH), "/root/x.rpm", 0o644)
	query := func(format string) string { t.Helper(); return m.Run("rpm", "-qp", "--qf", format, "/root/x.rpm") }
	for format, want := range map[string]string{
		"%{NAME} %{VERSION} %{RELEASE} %{ARCH}": "oci-timens " + packaged + " 1 " + rpmArch[runtime.GOARCH],
		"%{LICENSE}|%{BUILDHOST}|%{PACKAGER}":   "Apache-2.0|buildhost.invalid|The oci-timens Authors <oci-timens@example.invalid>",
		"[%{SUGGESTNAME} ]":                     "runc crun podman moby-engine containerd cri-o",
	} {
		if got := query(format); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
	if got := m.Run("rpm", "-qp", "--requires", "/root/x.rpm"); regexp.MustCompile(`(?m)^[^r/]|^r[^p]`).MatchString(got) {
		t.Errorf("it requires %s", got)
	}
	// Where there are rpms, it belongs to the package of all common folders.
	m.Run("mkdir", "-p", "/usr/share/zsh/site-functions")
	before := m.Snapshot("/etc", "/usr", "/var/lib/oci-timens")
	m.Run("rpm", "-i", "--nodeps", "--force-debian", "/root/x.rpm")
	var got []string
	for line := range strings.Lines(m.Run("rpm", "-q", "--qf", `[%{FILEMODES:perms} %{FILENAMES}\n]`, "oci-timens")) {
		if line[0] == '-' {
			got = append(got, strings.Replace(strings.TrimSpace(line), " /usr/", " ", 1))
		}
	}
	if got = slices.DeleteFunc(got, isDocument); !slices.Equal(got, installed) {
		t.Errorf("installed:\n%s", strings.Join(got, "\n"))
	}
	// There is no engine here, but there may be one tomorrow.
	m.Run("timensctl", "configure", "crio")
	configured := m.Snapshot("/etc/crio", "/var/lib/oci-timens")
	m.Run("rpm", "-U", "--force", "--nodeps", "--force-debian", "/root/x.rpm")
	m.Snapshot("/etc/crio", "/var/lib/oci-timens").Same(t, configured)
	if got := m.Run("rpm", "-e", "oci-timens"); !strings.Contains(got, "removed /etc/crio/") {
		t.Errorf("nothing of the engine in %q", got)
	}
	m.Snapshot("/etc", "/usr", "/var/lib/oci-timens").Same(t, before)
}

// TestArchive unpacks the archive where a distribution leaves room for it.
func TestArchive(t *testing.T) {
	m := machine.New(t, machine.Tool(t, "debian12-1"))
	m.Copy(archiveOf(t, runtime.GOARCH), "/root/x.tar.gz", 0o644)
	m.Run("chmod", "2775", "/usr/local/bin")
	before := m.Snapshot("/usr/local")
	m.Run("tar", "-xzf", "/root/x.tar.gz", "--strip-components=1", "-C", "/usr/local")
	if now := m.Snapshot("/usr/local"); now["/usr/local/bin"] != before["/usr/local/bin"] {
		t.Errorf("/usr/local/bin is %s, was %s", now["/usr/local/bin"], before["/usr/local/bin"])
	}
	check := m.Run("timensctl", "check", "--output", "json")
	for _, want := range []string{`"/usr/local/libexec/oci/hooks.d/timens-hook"`, `"/usr/local/bin/timens-runc"`} {
		if !strings.Contains(check, want) {
			t.Errorf("no %s in %s", want, check)
		}
	}
}
