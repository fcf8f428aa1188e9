package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"oci-timens/config"
	"oci-timens/internal/lowlevel"
	"oci-timens/internal/plan"
	"oci-timens/timens"
)

// Host is the machine that is looked at and changed. Paths begin at its root.
type Host struct {
	Root       string // "" but in tests
	UID        int
	Home       string // of the user
	ConfigHome string // the user's ~/.config
	StateHome  string // the user's ~/.local/state
	// Ask returns what an engine says of its version, or "" if it is not installed.
	Ask func(engine string) string
	// Installed returns the path of a program of ours, or "".
	Installed func(program string) string
	// LowLevel identifies a low-level runtime by path or name, or the one that the
	// shim would use if that is "".
	LowLevel func(name string) (plan.Runtime, error)
	Kernel   plan.Kernel
	// Environ holds the variables of the environment that podman goes by.
	Environ map[string]string
	// Waiting is called when another configure holds the lock.
	Waiting func()

	step func() // called after each change to a file system: a test point
}

// ThisHost returns the machine that this program runs on.
func ThisHost() *Host {
	home, _ := os.UserHomeDir()
	return &Host{
		UID:        os.Geteuid(),
		Home:       home,
		ConfigHome: xdg("XDG_CONFIG_HOME", home, ".config"),
		StateHome:  xdg("XDG_STATE_HOME", home, ".local/state"),
		Ask:        askVersion,
		Installed:  installed,
		LowLevel:   lowLevel,
		Kernel:     plan.Kernel{TimeNamespaces: timens.HaveTimeNamespaces(), ExecSwitch: timens.HaveExecSwitch()},
		Environ:    environ(podmanVariables...),
		Waiting:    func() {},
	}
}

func environ(names ...string) map[string]string {
	set := map[string]string{}
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			set[name] = value
		}
	}
	return set
}

func xdg(variable, home, otherwise string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(home, otherwise)
}

// real returns where a path of the host is.
func (h *Host) real(path string) string { return filepath.Join("/", h.Root, path) }

// resolve follows symbolic links, also of directories, as far as the path is there.
// A link that leads nowhere is an error.
func (h *Host) resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(h.real(path))
	if err == nil {
		return h.within(real), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := os.Lstat(h.real(path)); err == nil {
		return "", fmt.Errorf("%s: a symbolic link that leads nowhere: remove it, or create what it names", path)
	}
	if path == "/" {
		return path, nil
	}
	dir, err := h.resolve(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

func (h *Host) within(real string) string {
	if h.Root == "" {
		return real
	}
	rel, err := filepath.Rel(h.Root, real)
	if err != nil {
		return real
	}
	return filepath.Join("/", rel)
}

// maxSize is the largest configuration file that is read, in bytes.
const maxSize = 16 << 20

// read returns the content of a regular file, nil if there is none.
func (h *Host) read(path string) ([]byte, error) {
	info, err := os.Stat(h.real(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return nil, fmt.Errorf("%s: not a regular file of at most %d bytes", path, maxSize)
	}
	data, err := os.ReadFile(h.real(path))
	if data == nil && err == nil {
		data = []byte{}
	}
	return data, err
}

// dropIns lists the files of a directory that end in suffix, sorted.
func (h *Host) dropIns(dir, suffix string) ([]string, error) {
	entries, err := os.ReadDir(h.real(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && !e.IsDir() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

// installed looks for a program of ours beside the running one, where it is usually
// installed, and in PATH.
func installed(program string) string {
	if p := lowlevel.Companion(program); p != "" {
		return p
	}
	p, err := exec.LookPath(program)
	if err != nil || !filepath.IsAbs(p) {
		return ""
	}
	return p
}

func lowLevel(name string) (plan.Runtime, error) {
	candidates := []string{name}
	if name == "" {
		c, err := config.Load()
		if err != nil {
			return plan.Runtime{}, err
		}
		candidates = c.Runtimes
	}
	path, err := lowlevel.Find(candidates)
	if err != nil {
		return plan.Runtime{}, err
	}
	r, err := lowlevel.Identify(path)
	return plan.Runtime{Name: r.Name, Version: r.Version}, err
}

// versionTimeout bounds the question for an engine's version.
const versionTimeout = 5 * time.Second

// programs are who tells an engine's version, best first.
var programs = map[string][]string{Podman: {"podman"}, Docker: {"dockerd", "docker"}, Containerd: {"containerd"}, CRIO: {"crio"}}

// noAnswer is of a program that is there and fails.
const noAnswer = "?"

// askVersion runs ENGINE --version. Not everybody has the directories of daemons in
// PATH.
func askVersion(engine string) string {
	for _, p := range programs[engine] {
		path, err := exec.LookPath(p)
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"} {
			if err != nil {
				path, err = exec.LookPath(filepath.Join(dir, p))
			}
		}
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), versionTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if err == nil {
			line, _, _ := strings.Cut(string(out), "\n")
			return line
		}
		return noAnswer
	}
	return ""
}
