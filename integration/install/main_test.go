package install

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"oci-timens/integration/machine"
)

func TestMain(m *testing.M) {
	code := machine.Main(m)
	if scratch != "" {
		if err := os.RemoveAll(scratch); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// tag is the version that is released here, packaged the version in its packages.
const (
	tag      = "v1.2.0-rc.1"
	packaged = "1.2.0~rc.1"
)

var scratch string

// source returns a repository with one commit, tagged, of the files as they are
// here, in a commit or not.
var source = sync.OnceValues(func() (dir string, err error) {
	if scratch, err = os.MkdirTemp("", "timens-install-"); err != nil {
		return "", err
	}
	dir = filepath.Join(scratch, "source")
	return dir, shell(`
		mkdir "$1" && cd ../.. &&
		git ls-files -z --cached --others --exclude-standard --deduplicate |
			while IFS= read -r -d "" f; do if [ -e "$f" ]; then printf "%s\0" "$f"; fi; done |
			tar -c --null -T - | tar -x -C "$1" &&
		cd "$1" && git init -q && git add -A &&
		git -c user.name=test -c user.email=test@example.invalid commit -q -m test &&
		git tag `+tag, dir)
})

// shell runs a script with arguments.
func shell(script string, args ...string) error {
	cmd := exec.Command("bash", append([]string{"-ec", script, "bash"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, out.String())
	}
	return nil
}

// clone makes a clone of the source in a folder below scratch.
func clone(t testing.TB, name string) string {
	t.Helper()
	from, err := source()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(scratch, name)
	if err := shell(`git clone -q "$1" "$2"`, from, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// release makes the release, once, and returns its folder.
func release(t testing.TB) string {
	t.Helper()
	nfpm := machine.Tool(t, "nfpm-2.45.0")
	releaseOnce.Do(func() {
		releaseDir = filepath.Join(clone(t, "one"), "dist", "release")
		releaseErr = shell(`cd "$1" && make release NFPM="$2"`, filepath.Join(releaseDir, "..", ".."), nfpm)
	})
	if releaseErr != nil {
		t.Fatal(releaseErr)
	}
	return releaseDir
}

var (
	releaseOnce sync.Once
	releaseDir  string
	releaseErr  error
)

// Files of the release, for an architecture as Go calls it.
func debOf(t testing.TB, arch string) string {
	t.Helper()
	return filepath.Join(release(t), "oci-timens_"+packaged+"_"+arch+".deb")
}

func rpmOf(t testing.TB, arch string) string {
	t.Helper()
	return filepath.Join(release(t), "oci-timens-"+packaged+"-1."+rpmArch[arch]+".rpm")
}

func archiveOf(t testing.TB, arch string) string {
	t.Helper()
	return filepath.Join(release(t), "oci-timens-"+packaged+"-linux-"+arch+".tar.gz")
}

var rpmArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
