package shim

import (
	"os"
	"syscall"
	"unsafe"
)

// Where Go's runtime is started after all it is told before that it will be needed for a
// millisecond or two, by one thread:
//
//   - GOMAXPROCS=1 keeps it from starting threads for goroutines that might run beside others.
//   - Its sysmon wakes up every 20 µs to see whether other threads hang (runtime/proc.go). With
//     the kernel free to do that some milliseconds later it is not in the way: PR_SET_TIMERSLACK
//     of prctl(2), which threads have from who starts them.
//
// The low-level runtime, and what else is started, gets both as they were: see undoCalm.
//
// See early.go for what functions must not do.

var (
	earlySlack uintptr // of the thread, in nanoseconds; 0 where it was not changed
	earlyAdded bool    // GOMAXPROCS, to the environment

	earlyProcs = calmVariable + "=1\x00"
)

const (
	calmVariable = "GOMAXPROCS"
	calmSlack    = 10_000_000 // ns

	prSetTimerSlack, prGetTimerSlack = 29, 30
)

// earlyCalm adds to the environment behind what the kernel has put on the stack, for which all
// that is before it is moved by two words. It returns where that is by now.
//
//go:nosplit
//go:norace
//go:nocheckptr
func earlyCalm(stack *uintptr, envp **byte) *uintptr {
	slack, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, prGetTimerSlack, 0, 0, 0, 0, 0)
	if err == 0 && slack != 0 { // 0: with a real-time policy, where it has no meaning
		_, _, err = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetTimerSlack, calmSlack, 0, 0, 0, 0)
		if err == 0 {
			earlySlack = slack
		}
	}
	end := uintptr(0)
	for ; cArg(envp, end) != nil; end++ {
		if cBehind(cArg(envp, end), calmVariable+"=") != nil {
			return stack
		}
	}
	// The stack pointer must stay a multiple of 16, so the variable is there twice.
	moved := (*uintptr)(unsafe.Add(unsafe.Pointer(stack), -2*int(wordSize)))
	word := moved
	for from := stack; unsafe.Pointer(from) != unsafe.Add(unsafe.Pointer(envp), end*wordSize); from = wNext(from) {
		*word = *from
		word = wNext(word)
	}
	*word = uintptr(unsafe.Pointer(unsafe.StringData(earlyProcs)))
	*wNext(word) = *word
	earlyAdded = true
	return moved
}

//go:nosplit
//go:norace
//go:nocheckptr
func wNext(word *uintptr) *uintptr { return (*uintptr)(unsafe.Add(unsafe.Pointer(word), wordSize)) }

// undoCalm undoes what earlyCalm has done, as far as others would inherit it. It has to be
// called by the main thread.
func undoCalm() {
	if earlySlack != 0 {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetTimerSlack, earlySlack, 0, 0, 0, 0)
	}
	if earlyAdded {
		_ = os.Unsetenv(calmVariable)
	}
}

// growStack has the stack grow once, and to what will be needed: else it is copied four times,
// later, when there is more in it.
//
//go:noinline
func growStack() {
	var room [24 << 10]byte
	touch(&room)
}

//go:noinline
func touch(room *[24 << 10]byte) { room[0] = 1 }
