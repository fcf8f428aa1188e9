package probe

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// vdso is the address of the vDSO's clock_gettime: the function that a C
// library calls, and the only one that reads CLOCK_BOOTTIME without entering the
// kernel. Go's runtime uses it for CLOCK_MONOTONIC alone, and hides it.
type vdso uintptr

// vdsoSymbols are the names of clock_gettime, from vdso(7).
var vdsoSymbols = map[string]string{
	"amd64": "__vdso_clock_gettime",
	"arm64": "__kernel_clock_gettime",
}

const atSysinfoEhdr = 33 // AT_SYSINFO_EHDR of getauxval(3): where the vDSO is mapped

func findVDSO() (vdso, error) {
	aux, err := unix.Auxv()
	if err != nil {
		return 0, fmt.Errorf("reading the auxiliary vector: %w", err)
	}
	var base uintptr
	for _, a := range aux {
		if a[0] == atSysinfoEhdr {
			base = a[1]
		}
	}
	if base == 0 {
		return 0, fmt.Errorf("the kernel mapped no vDSO into this process")
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	image, err := elf.NewFile(io.NewSectionReader(mem, int64(base), 1<<20))
	if err != nil {
		return 0, fmt.Errorf("reading the vDSO: %w", err)
	}
	symbols, err := image.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("reading the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == vdsoSymbols[runtime.GOARCH] {
			return vdso(base + uintptr(s.Value)), nil
		}
	}
	return 0, fmt.Errorf("the vDSO has no %q", vdsoSymbols[runtime.GOARCH])
}

// callVDSO calls the C function at fn with the arguments of clock_gettime(2).
//
//go:noescape
func callVDSO(fn, clock uintptr, ts *unix.Timespec) int32

func (v vdso) now(clock int32) (int64, error) {
	var ts unix.Timespec
	if errno := callVDSO(uintptr(v), uintptr(clock), &ts); errno != 0 {
		return 0, fmt.Errorf("clock_gettime(%d) of the vDSO: %w", clock, unix.Errno(-errno))
	}
	return ts.Nano(), nil
}
