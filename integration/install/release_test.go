package install

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

// The same commit gives the same bytes: in another folder, later, with another
// umask, time zone, language, home and host name, and with nothing from Go's cache.
func TestReleaseIsReproducible(t *testing.T) {
	first := release(t)
	if os.Geteuid() != 0 {
		testenv.Lacks(t, "root", "a host name of its own needs a namespace")
	}
	nfpm := machine.Tool(t, "nfpm-2.45.0")
	second := clone(t, "another/folder of two")
	err := shell(`cd "$1" && mkdir ../home && export GOMODCACHE=$(go env GOMODCACHE) GOCACHE=$PWD/../cache HOME=$PWD/../home &&
		export TZ=Asia/Tokyo LC_ALL=C.UTF-8 && umask 077 &&
		unshare --uts sh -c 'hostname elsewhere && exec "$@"' sh make release NFPM="$2"`, second, nfpm)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	want := []string{
		"SHA256SUMS",
		"oci-timens-" + packaged + "-1.aarch64.rpm", "oci-timens-" + packaged + "-1.x86_64.rpm",
		"oci-timens-" + packaged + "-linux-amd64.cdx.json", "oci-timens-" + packaged + "-linux-amd64.tar.gz",
		"oci-timens-" + packaged + "-linux-arm64.cdx.json", "oci-timens-" + packaged + "-linux-arm64.tar.gz",
		"oci-timens_" + packaged + "_amd64.deb", "oci-timens_" + packaged + "_arm64.deb",
		"timens-hook.amd64", "timens-hook.arm64", "timens-runc.amd64", "timens-runc.arm64", "timensctl.amd64", "timensctl.arm64",
	}
	if !slices.Equal(names, want) {
		t.Errorf("released %q", names)
	}
	if err := shell(`cd "$1" && sha256sum --check --strict --quiet SHA256SUMS && test $(wc -l <SHA256SUMS) = 14`, first); err != nil {
		t.Error(err)
	}
	if err := shell(`diff -r "$1" "$2"`, first, filepath.Join(second, "dist", "release")); err != nil {
		t.Error(err)
	}
}

// A release is of a commit, and says so where it cannot be.
func TestReleaseOfUncommittedChanges(t *testing.T) {
	dir := clone(t, "changed")
	if err := os.WriteFile(filepath.Join(dir, "README.md"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", "release", "NFPM="+machine.Tool(t, "nfpm-2.45.0"))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "make release: there are changes that are in no commit") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestReleasedPrograms(t *testing.T) {
	dir := release(t)
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		for _, program := range []string{"timens-hook", "timens-runc", "timensctl"} {
			f, err := elf.Open(filepath.Join(dir, program+"."+arch))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP {
					t.Errorf("%s for %s is not static", program, arch)
				}
			}
			if f.Machine != machine {
				t.Errorf("%s for %s is for %v", program, arch, f.Machine)
			}
			f.Close()
		}
	}
}

// timerSlack is changed before Go's runtime starts, and back before anything else is started.
var timerSlack = regexp.MustCompile(`(?s)prctl\([^\n]*\b4000000\b.*rt_sigaction\(.*prctl\([^\n]*\b50000\b`)

func TestReleasedVersion(t *testing.T) {
	m := machine.New(t, machine.Tool(t, "checkers-1"))
	for arch, qemu := range map[string]string{"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"} {
		m.Copy(filepath.Join(release(t), "timensctl."+arch), "/root/timensctl", 0o755)
		if got := m.Run(qemu, "/root/timensctl", "version"); got != "timensctl "+tag {
			t.Errorf("%s: %s", arch, got)
		}
		// Before it starts, it does something with its stack (internal/early).
		m.Copy(filepath.Join(release(t), "timens-hook."+arch), "/root/timens-hook", 0o755)
		o, err := m.Try(qemu, "-strace", "/root/timens-hook", "--version")
		if err != nil || o.Stdout != "timens-hook "+tag+"\n" || !timerSlack.MatchString(o.Stderr) {
			t.Errorf("%s: %v, %q, %s", arch, err, o.Stdout, o.Stderr)
		}
	}
}

// TestReleasedShim wants the shim to hand calls on before Go's runtime starts (shim/early.go),
// which sets up its signals first of all.
func TestReleasedShim(t *testing.T) {
	m := machine.New(t, machine.Tool(t, "checkers-1"))
	m.Write("/opt/bin/runc", "#!/bin/sh\necho \"$0 $*\" $GOMAXPROCS\n", 0o755)
	m.Write("/root/bundle/config.json", "{}", 0o644)
	for arch, qemu := range map[string]string{"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"} {
		m.Copy(filepath.Join(release(t), "timens-runc."+arch), "/root/timens-runc", 0o755)
		for _, configured := range []bool{false, true} {
			m.Run("rm", "-rf", "/etc/oci-timens")
			if configured {
				m.Write("/etc/oci-timens/config.toml", "", 0o644)
			}
			for _, line := range []string{"--root /r start c1", "create --bundle /root/bundle c1"} {
				args := append([]string{"env", "PATH=/opt/bin:/bin", "/usr/bin/" + qemu, "-strace", "/root/timens-runc"}, strings.Fields(line)...)
				o, err := m.Try(args...)
				if err != nil || o.Stdout != "/opt/bin/runc "+line+"\n" || !strings.Contains(o.Stderr, "execve(") {
					t.Errorf("%s, configured %v, %s: %q, %v: %s", arch, configured, line, o.Stdout, err, o.Stderr)
				}
				if started := strings.Contains(o.Stderr, "rt_sigaction("); started != configured {
					t.Errorf("%s, configured %v, %s: Go's runtime was started: %v\n%s", arch, configured, line, started, o.Stderr)
				}
			}
		}
	}
}
