package saved

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"oci-timens/internal/testenv"
	"oci-timens/timens"
)

// TestLockedByOthers has another user hold a lock on a folder that is there for all to
// see, as a kubelet makes it: that must not keep containers from starting.
func TestLockedByOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Lacks(t, "root", "there is another user")
	}
	dir := filepath.Join("/tmp", filepath.Base(t.TempDir())+"-saved") // which others can reach
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	hold := exec.Command("flock", "--exclusive", dir, "sh", "-c", "echo locked; exec sleep 60")
	hold.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}, Setpgid: true}
	out, err := hold.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-hold.Process.Pid, syscall.SIGKILL); hold.Wait() })
	line := make([]byte, 7)
	if _, err := out.Read(line); err != nil || !bytes.Equal(line, []byte("locked\n")) {
		t.Fatalf("%q, %v", line, err)
	}
	host, err := timens.Host{}.WithWall()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := (Store{dir: dir, max: 1}).Begin("name", User{ID: "c", PID: os.Getpid()}, timens.Offsets{}, host, 0); err != nil {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}
