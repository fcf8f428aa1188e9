package lowlevel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Runtime is a low-level runtime. Version is "" when its --version says none.
type Runtime struct{ Path, Name, Version string }

// versionTimeout bounds a call of --version, which takes some 10 ms.
const versionTimeout = 10 * time.Second

// Identify asks the program at path what it is, by `path --version`. Answers are
// kept in /run/oci-timens or $XDG_RUNTIME_DIR/oci-timens for as long as the
// program's file is the same. A script is asked each time, because what it runs
// may change, and so is every program where neither directory can be used.
func Identify(path string) (Runtime, error) { return identify(path, cacheDirs(), ask) }

func identify(path string, dirs []string, ask func(string) (name, version string, err error)) (Runtime, error) {
	id, err := idOf(path)
	if err != nil {
		return Runtime{}, fmt.Errorf("low-level runtime: %w", err)
	}
	c := openCache(dirs)
	defer c.close()
	if name, version, ok := c.get(id); ok {
		return Runtime{path, name, version}, nil
	}
	name, version, err := ask(path)
	if err != nil {
		return Runtime{}, err
	}
	// Somebody may have upgraded it in between; then nobody knows who answered.
	if again, err := idOf(path); err == nil && again == id && !isScript(path) {
		c.put(id, name, version)
	}
	return Runtime{path, name, version}, nil
}

// ask reads the first line of --version: "runc version 1.5.2", "crun version
// 1.8.1", "youki version: 0.7.0". Of a program that answers otherwise, the name
// is that of its file.
func ask(path string) (name, version string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second // for what a wrapper leaves behind on the pipe
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %v", versionTimeout)
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			err = fmt.Errorf("%w: %q", err, firstLine(exit.Stderr))
		}
		return "", "", fmt.Errorf("low-level runtime: %s --version: %w", path, err)
	}
	f := strings.Fields(firstLine(out))
	if len(f) >= 3 && strings.TrimSuffix(f[1], ":") == "version" {
		return f[0], f[2], nil
	}
	return filepath.Base(path), "", nil
}

// firstLine returns at most 256 bytes of it.
func firstLine(b []byte) string {
	s, _, _ := strings.Cut(string(b[:min(len(b), 256)]), "\n")
	return s
}

func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	var magic [2]byte
	_, err = io.ReadFull(f, magic[:])
	return err != nil || string(magic[:]) == "#!"
}

// fileID changes when a file is replaced or written to: nobody but root can set
// a ctime, and only by setting the clock.
type fileID struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // ns
}

func idOf(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileID{}, fmt.Errorf("stat %s: %w", path, err)
	}
	return fileID{uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}, nil
}
