package preflight

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"oci-timens/timens"
)

// ErrNotRunning is what Init's error matches where there is no such container, or it
// does not run: the runtime says so itself.
var ErrNotRunning = errors.New("the container does not run")

// Init returns the PID of a container's init, by what the low-level runtime keeps of it.
// runtime is runc or crun; root is its --root, or "" for where it looks without.
func Init(runtime, root, id string) (pid int, err error) {
	if id == "" || id == "." || id == ".." || strings.Contains(id, "/") {
		return 0, fmt.Errorf("container id %q is no file name", id)
	}
	file, ok := map[string]string{"runc": "state.json", "crun": "status"}[runtime]
	if !ok {
		return 0, fmt.Errorf("container %q: it is not known where %q keeps its containers; runc and crun can be used", id, runtime)
	}
	roots := []string{root}
	if root == "" {
		roots = defaultRoots(runtime)
	}
	for _, root := range roots {
		path := filepath.Join(root, id, file)
		s, err := readState(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return 0, fmt.Errorf("container %q: %w", id, err)
		case s.start() != 0 && !timens.Runs(s.pid(), s.start()):
			return 0, fmt.Errorf("container %q: its init, process %d by %s, has ended: %w", id, s.pid(), path, ErrNotRunning)
		}
		return s.pid(), nil
	}
	return 0, fmt.Errorf("container %q: no %s below %s: %w", id, filepath.Join(id, file), strings.Join(roots, " or "), ErrNotRunning)
}

// defaultRoots are where a runtime keeps its containers without --root: crun in
// $XDG_RUNTIME_DIR/crun if that is set, else in /run/crun (crun 1.8 to 1.28, src/libcrun/status.c,
// get_run_directory); runc in $XDG_RUNTIME_DIR/runc only where it is rootless, which it takes
// from its user namespace as well (runc 1.5.2, main.go and rootless_linux.go).
func defaultRoots(runtime string) []string {
	roots := []string{"/run/" + runtime}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		own := filepath.Join(dir, runtime)
		if runtime == "runc" && os.Geteuid() == 0 {
			return append(roots, own)
		}
		return append([]string{own}, roots...)
	}
	return roots
}

// state is the part of runc's state.json or crun's status that says which process is
// meant. Start times are those of /proc/PID/stat; crun before 0.20 kept none.
type state struct {
	RuncPID   int    `json:"init_process_pid"`
	RuncStart uint64 `json:"init_process_start"`
	CrunPID   int    `json:"pid"`
	CrunStart uint64 `json:"process-start-time"`
}

// A file has one of each.
func (s state) pid() int      { return s.RuncPID + s.CrunPID }
func (s state) start() uint64 { return s.RuncStart + s.CrunStart }

// maxState is far more than any state.json has, which holds the container's configuration.
const maxState = 8 << 20

func readState(path string) (s state, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if s.pid() <= 0 {
		return s, fmt.Errorf("%s names no process", path)
	}
	return s, nil
}
