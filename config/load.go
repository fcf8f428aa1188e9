package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"oci-timens/timens"
)

const (
	// DefaultPath is the configuration file that Load reads unless TIMENS_CONFIG
	// names another one.
	DefaultPath = "/etc/oci-timens/config.toml"
	// DropIns is the folder beside it whose *.toml are read, too.
	DropIns = "config.d"
	// EnvPath is the environment variable that names another file.
	EnvPath = "TIMENS_CONFIG"
	// maxSize is the largest configuration file in bytes.
	maxSize = 1 << 20
)

// Path returns the file that Load reads.
func Path() string {
	if p := os.Getenv(EnvPath); p != "" {
		return p
	}
	return DefaultPath
}

// Load reads the configuration file and its drop-ins. Without any of them it
// returns Default(). A file that TIMENS_CONFIG names must be there.
func Load() (*Config, error) { return loadNamed((*Config).decode, (*Config).check) }

// LoadRuntimes is Load for who has to know the low-level runtime and nothing
// else: a mistake elsewhere must not keep anybody from stopping a container. Only
// what makes Runtimes doubtful is an error: text that is no TOML, a file that
// others can write, a bad name of a runtime.
func LoadRuntimes() ([]string, error) {
	c, err := loadNamed((*Config).decodeRuntimes, nil)
	if err != nil {
		return nil, err
	}
	return c.Runtimes, nil
}

func loadNamed(decode decoder, check func(*Config) error) (*Config, error) {
	p := Path()
	c, found, err := load(p, decode, check)
	if err == nil && !found && os.Getenv(EnvPath) != "" {
		return nil, fmt.Errorf("%s names the configuration file %q, which does not exist", EnvPath, p)
	}
	return c, err
}

// LoadFile reads the configuration file at path and then the files config.d/*.toml
// beside it, in lexical order. Files that are not there count as empty. Errors
// name the file, and the line and key where there is one.
func LoadFile(path string) (*Config, error) {
	c, _, err := load(path, (*Config).decode, (*Config).check)
	return c, err
}

// decoder reads the text of one file, whose name is for messages, into c.
type decoder func(c *Config, name string, data []byte) error

func load(path string, decode decoder, check func(*Config) error) (c *Config, found bool, err error) {
	c = Default()
	dir := filepath.Dir(path)
	// The usual case, and by one plain system call: this is on the way of every
	// start of a container.
	var st syscall.Stat_t
	if syscall.Stat(dir, &st) == syscall.ENOENT {
		return c, false, nil
	}
	found, err = c.read(path, decode)
	if err != nil {
		return nil, found, err
	}
	dropins, err := dropIns(filepath.Join(dir, DropIns))
	if err != nil {
		return nil, found, err
	}
	if len(dropins) > 0 && !found { // else it is checked already
		if err := checkDirectory(dir); err != nil {
			return nil, found, err
		}
	}
	for _, p := range dropins {
		if _, err := c.read(p, decode); err != nil {
			return nil, found, err
		}
	}
	if check == nil {
		return c, found, nil
	}
	if err := check(c); err != nil {
		return nil, found, fmt.Errorf("configuration %q with its drop-ins: %w", path, err)
	}
	return c, found, nil
}

// dropIns lists the files of a directory that end in .toml; hidden ones are
// somebody's temporary files.
func dropIns(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("configuration drop-ins: %w", err)
	}
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries { // sorted by name
		if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// read decodes one file into c when it is there.
func (c *Config) read(path string, decode decoder) (found bool, err error) {
	f, err := openTrusted(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return true, fmt.Errorf("configuration file: %w", err)
	}
	if len(data) > maxSize {
		return true, fmt.Errorf("configuration file %q is larger than %d bytes", path, maxSize)
	}
	return true, decode(c, path, data)
}

// openTrusted opens a file that nobody else can have written, nor put there. A
// link is followed, if the same goes for the place that it leads to.
func openTrusted(path string) (*os.File, error) {
	target := path
	f, err := openNoFollow(path)
	if errors.Is(err, syscall.ELOOP) {
		if target, err = filepath.EvalSymlinks(path); err == nil {
			f, err = openNoFollow(target)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	err = checkFile(f, path)
	if err == nil {
		err = checkDirectory(filepath.Dir(path))
	}
	if err == nil && target != path {
		err = checkDirectory(filepath.Dir(target))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openNoFollow is os.OpenFile without epoll: setting that up, to find that a regular file
// has no use for it, would take longer than to read the file.
func openNoFollow(path string) (*os.File, error) {
	// O_NONBLOCK: opening a FIFO must not wait for a writer.
	const flags = syscall.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	fd, err := syscall.Open(path, flags, 0)
	for err == syscall.EINTR {
		fd, err = syscall.Open(path, flags, 0)
	}
	if err == nil {
		err = syscall.SetNonblock(fd, false) // for os.NewFile; it is a regular file, or refused
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func checkFile(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("configuration file %q is no regular file", path)
	}
	return checkTrusted("configuration file", path, info)
}

// check finds contradictions between keys, which may be in different files.
func (c *Config) check() error {
	p := c.Policy
	if p.MinOffset != nil && p.MaxOffset != nil && p.MinOffset.Compare(*p.MaxOffset) > 0 {
		return fmt.Errorf("policy.min-offset %v is above policy.max-offset %v", *p.MinOffset, *p.MaxOffset)
	}
	for _, clock := range timens.AllClocks() {
		if s := c.Defaults.Get(clock); !s.IsZero() && !p.Allows(clock) {
			return fmt.Errorf("defaults.%v is %q, but policy.clocks does not allow that clock", clock, s)
		}
	}
	return nil
}
