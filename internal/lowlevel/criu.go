package lowlevel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CRIU is the program by which runc and crun checkpoint and restore.
type CRIU struct{ Path, Version string }

// criuTimeout bounds `criu check`, which takes up to some 0.3 s.
const criuTimeout = 30 * time.Second

// errNoAnswer is of a machine that is too busy for it, so that nothing can be told.
var errNoAnswer = errors.New("no answer in time")

// FindCRIU returns the criu in PATH, where runc (libcontainer/criu_linux.go) and libcriu,
// which crun uses, start it by its name. It fails where that one is known not to work:
// where it is older than time namespaces, or says itself that it does not get on with
// this kernel. Like those of Identify, answers are kept for as long as the program's
// file is the same; refusals are not. Without root's rights, or where it does not answer in
// time, it is taken to work.
func FindCRIU() (CRIU, error) { return findCRIU(cacheDirs(), askCRIU) }

func findCRIU(dirs []string, ask func(path string) (version string, err error)) (CRIU, error) {
	path, err := exec.LookPath("criu")
	if err != nil || !filepath.IsAbs(path) {
		return CRIU{}, fmt.Errorf("CRIU is missing: there is no criu in PATH=%q, and runc and crun need it to checkpoint and to restore; install it", os.Getenv("PATH"))
	}
	id, err := idOf(path)
	if err != nil {
		return CRIU{}, fmt.Errorf("CRIU: %w", err)
	}
	c := openCache(dirs)
	defer c.close()
	if version, ok := c.getCRIU(id); ok {
		return CRIU{path, version}, nil
	}
	version, err := ask(path)
	if errors.Is(err, errNoAnswer) {
		return CRIU{path, version}, nil
	}
	if err != nil {
		return CRIU{path, version}, err
	}
	if again, err := idOf(path); err == nil && again == id && !isScript(path) && os.Geteuid() == 0 {
		c.putCRIU(id, version)
	}
	return CRIU{path, version}, nil
}

// askCRIU has criu itself say whether it works. It makes and ends namespaces and processes
// of its own for that, and keeps what it has learned in /run/criu.kdat, as it does whenever
// it is started.
func askCRIU(path string) (version string, err error) {
	out, err := runCRIU(path, "--version")
	if err != nil {
		return "", fmt.Errorf("CRIU: %s --version: %w", path, err)
	}
	// "Version: 4.1.1", with a line "GitID: …" of who built it himself.
	version, _, _ = strings.Cut(strings.TrimPrefix(firstLine(out), "Version: "), " ")
	if older(version, 3, 14) {
		return version, fmt.Errorf("CRIU %s (%s) knows no time namespaces, and would restore the container with other clocks: CRIU 3.14 and later do", version, path)
	}
	if os.Geteuid() != 0 {
		return version, nil
	}
	// Whatever it is asked to do, it first finds out what the kernel can, and gives up if it
	// does not understand it. A plain check is about features that a container may not need.
	if _, err := runCRIU(path, "check", "--feature", "timens"); err != nil {
		return version, fmt.Errorf("CRIU %s (%s) does not work on this kernel: criu check: %w; install a later CRIU", version, path, err)
	}
	return version, nil
}

// runCRIU returns the standard output, or an error with what it says why.
func runCRIU(path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), criuTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, errNoAnswer
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if why := reasons(errs.String()); why != "" {
			err = fmt.Errorf("%w: %q", err, why)
		}
	}
	return out.Bytes(), err
}

// reasons joins the errors that criu has written, without where in its code they are. The
// first may be about what it can do without, and the last are consequences.
func reasons(text string) string {
	const most = 500
	var list []string
	for line := range strings.Lines(text) {
		where, what, _ := strings.Cut(strings.TrimSpace(line), "): ")
		switch {
		case strings.HasPrefix(where, "Error (") && !strings.HasPrefix(what, "exited, status="):
			list = append(list, what)
		case !strings.HasPrefix(where, "Error (") && !strings.HasPrefix(where, "Warn "): // the loader's, say
			list = append(list, strings.TrimSpace(line))
		}
	}
	all := strings.Join(list, "; ")
	return all[max(0, len(all)-most):]
}

// older compares the first two numbers of a version. One that has none is not known to be older.
func older(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(first)
	if err != nil {
		return false
	}
	b, _ := strconv.Atoi(second)
	return a < major || a == major && b < minor
}

// The cache has files for criu beside those for runtimes, in the same form.
func (id fileID) criuEntry() string { return "criu" + strings.TrimPrefix(id.entry(), "runtime") }

func (c *cache) getCRIU(id fileID) (version string, ok bool) {
	if c == nil {
		return "", false
	}
	l := c.read(id.criuEntry())
	if l == nil || l[0] != id.key() {
		return "", false
	}
	return l[2], true
}

func (c *cache) putCRIU(id fileID, version string) {
	c.write(id.criuEntry(), id.key(), "criu", version)
}
