package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"oci-timens/internal/testenv"
)

// Kernel is a kernel for a guest.
type Kernel struct {
	Image   string // vmlinuz
	Modules string // the folder lib/modules/VERSION that belongs to it, "" for none
}

// KernelOf is the one kernel that is installed in an unpacked distribution.
func KernelOf(t testing.TB, tree string) Kernel {
	t.Helper()
	images, err := filepath.Glob(filepath.Join(tree, "boot/vmlinuz-*"))
	if err != nil {
		t.Fatal(err)
	}
	// Since Linux 7, Debian's are beside their modules.
	beside, err := filepath.Glob(filepath.Join(tree, "lib/modules/*/vmlinuz"))
	if err != nil {
		t.Fatal(err)
	}
	if len(images)+len(beside) != 1 {
		testenv.Lacks(t, "the kernel of "+filepath.Base(tree), fmt.Sprintf("%d kernels", len(images)+len(beside)))
	}
	if len(beside) == 1 {
		return Kernel{beside[0], filepath.Dir(beside[0])}
	}
	_, version, _ := strings.Cut(filepath.Base(images[0]), "-")
	return Kernel{images[0], filepath.Join(tree, "lib/modules", version)}
}

// module is one that is to be loaded.
type module struct {
	name string
	text []byte
}

// modules returns those of the named ones that are no part of the kernel itself, and what
// they need before them, in an order in which they can be loaded.
func (k Kernel) modules(names []string) (list []module, err error) {
	if k.Modules == "" {
		return nil, nil
	}
	files := map[string]string{}
	err = filepath.WalkDir(filepath.Join(k.Modules, "kernel"), func(path string, d fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok && err == nil {
			files[canonical(name)] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for modules of the kernel: %w", err)
	}
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = canonical(name)
		path, ok := files[name]
		if seen[name] || !ok { // built in, or another kernel's: what needs it will tell
			return nil
		}
		seen[name] = true
		text, err := readModule(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		needs, err := needed(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, n := range needs {
			if err := add(n); err != nil {
				return err
			}
		}
		list = append(list, module{name, text})
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// canonical is a name as the kernel has it: files are named with dashes as well.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

func readModule(path string) ([]byte, error) {
	if filepath.Ext(path) == ".xz" {
		return exec.Command("xz", "-dc", path).Output()
	}
	return os.ReadFile(path)
}

// needed are the modules that one says it depends on: its section .modinfo holds
// NAME=VALUE, each with a zero byte behind it.
func needed(text []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("no section .modinfo: this is no module of a kernel")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
