package timens

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// findSyscall returns the address of a system call instruction in executable
// memory of the process: in its vDSO, which has some for the clocks it cannot
// read by itself, else (vdso=0 on the kernel command line) in any program text.
func (t *tracee) findSyscall() (uintptr, error) {
	root, err := proc()
	if err != nil {
		return 0, err
	}
	name := strconv.Itoa(t.pid) + "/auxv"
	auxv, err := readAt(root, name)
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: "/proc/" + name, Err: err}
	}
	for ; len(auxv) >= 16; auxv = auxv[16:] { // pairs of a key and a value
		if binary.NativeEndian.Uint64(auxv) == atSysinfoEhdr {
			vdso := uintptr(binary.NativeEndian.Uint64(auxv[8:]))
			if at, ok := t.scan(vdso, vdso+maxVDSO); ok {
				return at, nil
			}
		}
	}
	return t.findInText(root)
}

const (
	atSysinfoEhdr = 33 // AT_SYSINFO_EHDR, getauxval(3): where the vDSO is
	maxVDSO       = 1 << 16
)

// findInText looks in everything that the process may execute.
func (t *tracee) findInText(root int) (uintptr, error) {
	name := strconv.Itoa(t.pid) + "/maps"
	maps, err := readAt(root, name)
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: "/proc/" + name, Err: err}
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var perm string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perm); err != nil || !strings.HasPrefix(perm, "r-x") {
			continue
		}
		if at, ok := t.scan(from, to); ok {
			return at, nil
		}
	}
	return 0, errors.New("no system call instruction in its memory")
}

// scan looks for syscallInsn between two addresses, a page at a time.
func (t *tracee) scan(from, to uintptr) (uintptr, bool) {
	page := make([]byte, 4096)
	for ; from < to && t.peek(from, page) == nil; from += uintptr(len(page)) {
		for off := 0; ; off++ {
			i := bytes.Index(page[off:], syscallInsn)
			if i < 0 {
				break
			}
			if off += i; off%insnAlign == 0 {
				return from + uintptr(off), true
			}
		}
	}
	return 0, false
}

// peek reads all of buf from the memory of the process.
func (t *tracee) peek(addr uintptr, buf []byte) error {
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	n, err := unix.ProcessVMReadv(t.pid, local, []unix.RemoteIovec{{Base: addr, Len: len(buf)}}, 0)
	if err != nil || n != len(buf) { // no CONFIG_CROSS_MEMORY_ATTACH, or a special mapping
		n, err = unix.PtracePeekData(t.pid, addr, buf)
	}
	return whole(n, len(buf), err)
}

// poke writes all of buf to the memory of the process.
func (t *tracee) poke(addr uintptr, buf []byte) error {
	n, err := unix.PtracePokeData(t.pid, addr, buf)
	return whole(n, len(buf), err)
}

func whole(n, want int, err error) error {
	if err == nil && n != want {
		err = fmt.Errorf("%d of %d bytes", n, want)
	}
	return err
}

// lend writes a C string below the stack of the process. undo puts back what was
// there.
func (t *tracee) lend(s string) (at uintptr, undo func() error, err error) {
	text := append([]byte(s), 0)
	at = (stackPointer(&t.regs) - redZone - uintptr(len(text))) &^ 15
	saved := make([]byte, len(text))
	if err := t.peek(at, saved); err != nil {
		return 0, nil, t.wrap(fmt.Errorf("read its stack: %w", err))
	}
	if err := t.poke(at, text); err != nil {
		return 0, nil, t.wrap(fmt.Errorf("write to its stack: %w", err))
	}
	return at, func() error { return t.wrap(t.poke(at, saved)) }, nil
}
