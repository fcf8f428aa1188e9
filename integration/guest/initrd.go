package guest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// always are the modules without which a guest cannot work.
var always = []string{"virtio_pci", "virtio_console", "virtio_blk", "overlay"}

// writeInitrd writes what the kernel unpacks into its first root: cmd/guest-init, and the
// modules, in folders whose names tell the order.
func writeInitrd(path string, c Config) error {
	program, err := buildInit(filepath.Dir(path), c.Arch)
	if err != nil {
		return err
	}
	modules, err := c.Kernel.modules(append(always[:len(always):len(always)], c.Modules...))
	if err != nil {
		return err
	}
	var a archive
	a.folder("dev")
	a.folder("modules")
	for i, m := range modules {
		a.file(fmt.Sprintf("modules/%03d-%s", i, m.name), m.text, 0o644)
	}
	if c.Tree != "" {
		a.folder("tree")
	}
	a.file("init", program, 0o755)
	return os.WriteFile(path, a.end(), 0o600)
}

func buildInit(dir, arch string) ([]byte, error) {
	out := filepath.Join(dir, "init")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "oci-timens/integration/cmd/guest-init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building guest-init: %w\n%s", err, said)
	}
	return os.ReadFile(out)
}

// archive is one of cpio in the form that the kernel reads
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	bytes.Buffer
	entries int
}

func (a *archive) folder(name string)                         { a.entry(name, nil, 0o040755, 2) }
func (a *archive) file(name string, text []byte, mode uint32) { a.entry(name, text, 0o100000|mode, 1) }

func (a *archive) entry(name string, text []byte, mode uint32, links int) {
	a.entries++
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, the device's and the special
	// file's numbers, namesize, check
	fmt.Fprintf(a, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.entries, mode, 0, 0, links, 0, len(text), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.Write(text)
	a.pad()
}

func (a *archive) pad() { a.WriteString(strings.Repeat("\x00", -a.Len()&3)) }

func (a *archive) end() []byte {
	a.entry("TRAILER!!!", nil, 0, 1)
	return a.Bytes()
}
