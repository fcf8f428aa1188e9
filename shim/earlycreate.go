package shim

import (
	"syscall"
	"unsafe"

	"oci-timens/internal/early"
)

// A container that asks for no clocks can be told from a look at its config.json, and in
// Kubernetes at that of its pod's sandbox, whose annotations count: shim.prepare, which
// decides where this is not certain, does the same by spec.Mentioned and pod.AsCreated.
// (It has the file of a container in a pod parsed as well, and refuses one that is no JSON;
// here that is left to the low-level runtime, as it is for all other containers.)
//
// See package early for what functions must not do.

// earlyText is the config.json that is looked at: those of engines have some ten kilobytes.
// Behind it there is always a zero.
var earlyText [256 << 10]byte

// cBundle returns the bundle of a line behind create or run, as engines write it, or nil.
//
//go:nosplit
//go:norace
//go:nocheckptr
func cBundle(argv **byte, i uintptr) *byte {
	var bundle *byte
	for ; early.Arg(argv, i) != nil; i++ {
		arg := early.Arg(argv, i)
		named := early.Behind(arg, "--bundle=")
		if early.Is(arg, "--bundle") {
			i++
			if named = early.Arg(argv, i); named == nil {
				return nil
			}
		}
		switch {
		case named != nil:
			if bundle != nil {
				return nil
			}
			bundle = named
		case early.Is(arg, "--no-pivot"), early.Is(arg, "--no-new-keyring"), early.Is(arg, "--detach"):
		case early.Behind(arg, "--pid-file=") != nil, early.Behind(arg, "--console-socket=") != nil:
		case early.Is(arg, "--pid-file"), early.Is(arg, "--console-socket"):
			if i++; early.Arg(argv, i) == nil {
				return nil
			}
		case isIDByte(*arg) && early.Arg(argv, i+1) == nil:
			return bundle
		default:
			return nil
		}
	}
	return nil
}

// asksNothing tells whether it is certain that the container of a bundle asks for no clocks.
//
//go:nosplit
//go:norace
//go:nocheckptr
func asksNothing(bundle *byte) bool {
	if bundle == nil || *bundle != '/' {
		return false
	}
	n, base := uintptr(0), uintptr(0)
	for last := byte(0); *bundle != 0; bundle = early.Next(bundle) {
		if n == mostName || last == '/' && (*bundle == '/' || *bundle == '.') {
			return false // which filepath.Join would write differently
		}
		if last = *bundle; last == '/' {
			base = n + 1
		}
		setName(n, last)
		n++
	}
	if n == base || earlyRead(n) != 0 {
		return false
	}
	id, ok := earlyScan()
	if !ok || id == nil {
		return ok
	}
	// Behind the folder of all bundles, the ID of the sandbox.
	i := uintptr(0)
	for ; isIDByte(*id); id = early.Next(id) {
		if i == 128 || base+i == mostName { // spec.Pod takes as many
			return false
		}
		setName(base+i, *id)
		i++
	}
	if *id != '"' || i == 0 {
		return false
	}
	switch earlyRead(base + i) {
	case 0:
		_, ok = earlyScan()
		return ok
	case syscall.ENOENT:
		return true
	}
	return false
}

// earlyRead reads config.json in the folder that is in earlyName, n bytes long.
//
//go:nosplit
//go:norace
//go:nocheckptr
func earlyRead(n uintptr) syscall.Errno {
	const file = "/config.json\x00"
	for i := range uintptr(len(file)) {
		setName(n+i, file[i])
	}
	if err := cStat(&earlyName[0], &earlyFound, noFollow); err != 0 {
		return err
	}
	if earlyFound.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return syscall.EINVAL
	}
	const flags = syscall.O_RDONLY | syscall.O_CLOEXEC | syscall.O_NONBLOCK | syscall.O_NOCTTY | syscall.O_NOFOLLOW
	fd, _, err := syscall.RawSyscall6(syscall.SYS_OPENAT, here, uintptr(unsafe.Pointer(&earlyName[0])), flags, 0, 0, 0)
	if err != 0 {
		return err
	}
	_, _, err = syscall.RawSyscall(syscall.SYS_FSTAT, fd, uintptr(unsafe.Pointer(&earlyFound)), 0)
	if err == 0 && earlyFound.Mode&syscall.S_IFMT != syscall.S_IFREG {
		err = syscall.EINVAL
	}
	size := uintptr(0)
	for more := uintptr(1); err == 0 && more != 0; size += more {
		left := uintptr(len(earlyText)) - 1 - size
		if left == 0 {
			err = syscall.EFBIG
			break
		}
		more, _, err = syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&earlyText[0]))+size, left)
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
	if err == 0 {
		earlySize = size
		earlyText[size&(uintptr(len(earlyText))-1)] = 0
	}
	return err
}

// earlySize is how much of earlyText there is.
var earlySize uintptr

// earlyScan looks through earlyText. It is not ok where something of ours is, or may be,
// mentioned. It returns the ID of the sandbox of a pod of Kubernetes, with more behind it, nil
// where there is none.
//
//go:nosplit
//go:norace
//go:nocheckptr
func earlyScan() (id *byte, ok bool) {
	inPod, crio := false, false
	end := unsafe.Add(unsafe.Pointer(&earlyText[0]), earlySize)
	for p := &earlyText[0]; unsafe.Pointer(p) != end; p = early.Next(p) {
		switch *p {
		case '.':
			if early.Behind(p, ".timens") != nil {
				return nil, false
			}
		case '\\':
			// Letters, and what else is in our keys, and the sandbox's.
			if c := early.Behind(p, `\u00`); c != nil && (*c == '2' && isDotOrDash(*early.Next(c)) || *c == '6' || *c == '7') {
				return nil, false
			}
		case 'k':
			inPod = inPod || early.Behind(p, "kubepods") != nil
		case 'i':
			crio = crio || early.Behind(p, "io.kubernetes.cri-o.") != nil
			if c := early.Behind(p, "io.kubernetes.cri.sandbox-id"); c != nil {
				if id != nil {
					return nil, false
				}
				if id = early.Behind(c, `":"`); id == nil {
					return nil, false
				}
			}
		}
	}
	if !inPod || id == nil {
		return nil, true
	}
	return id, !crio // which might name another
}

// isDotOrDash takes the last digit of \u002e and \u002d.
//
//go:nosplit
//go:norace
//go:nocheckptr
func isDotOrDash(digit byte) bool { return digit|0x20 == 'e' || digit|0x20 == 'd' }

// isIDByte tells what IDs of engines are made of, for which others may take more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func isIDByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
