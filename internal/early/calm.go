package early

import (
	"os"
	"syscall"
	"unsafe"
)

// Where Go's runtime is started for a program that will be needed for a millisecond or two, by
// one thread, it is told so:
//
//   - GOMAXPROCS=1 keeps it from starting threads for goroutines that might run beside others.
//   - Its sysmon wakes up every 20 µs at first, to see whether other threads hang (runtime/proc.go).
//     With the kernel free to do that some milliseconds later it is not in the way: PR_SET_TIMERSLACK
//     of prctl(2), which threads have from who starts them.
//
// What is started by the program gets both as they were, if it is by the main thread: see Undo.
// Others than that keep their slack, so that time.Sleep may be late by it.

var (
	entry = start // for assembly, which cannot name functions of Go's own calling convention

	slackWas uintptr // the thread's, in nanoseconds; 0 where it was not changed
	added    bool    // GOMAXPROCS, to the environment
	procs    = variable + "=1\x00"
)

const (
	variable = "GOMAXPROCS"
	slackIs  = 4_000_000 // ns

	prSetTimerSlack, prGetTimerSlack = 29, 30
)

// start is what a program does that has nothing else to do early.
//
//go:nosplit
//go:norace
//go:nocheckptr
func start(stack *uintptr) *uintptr { return Calm(stack) }

// Calm adds to the environment behind what the kernel has put on the stack, for which all that
// is before that is moved by two words. It returns where that is by now.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Calm(stack *uintptr) *uintptr {
	slack, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, prGetTimerSlack, 0, 0, 0, 0, 0)
	if err == 0 && slack != 0 { // 0: with a real-time policy, where it has no meaning
		_, _, err = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetTimerSlack, slackIs, 0, 0, 0, 0)
		if err == 0 {
			slackWas = slack
		}
	}
	envp, end := Environment(stack), uintptr(0)
	for ; Arg(envp, end) != nil; end++ {
		if Behind(Arg(envp, end), variable+"=") != nil {
			return stack
		}
	}
	// The stack pointer must stay a multiple of 16, so the variable is there twice.
	moved := (*uintptr)(unsafe.Add(unsafe.Pointer(stack), -2*int(WordSize)))
	word := moved
	for from := stack; unsafe.Pointer(from) != unsafe.Add(unsafe.Pointer(envp), end*WordSize); from = nextWord(from) {
		*word = *from
		word = nextWord(word)
	}
	*word = uintptr(unsafe.Pointer(unsafe.StringData(procs)))
	*nextWord(word) = *word
	added = true
	return moved
}

//go:nosplit
//go:norace
//go:nocheckptr
func nextWord(word *uintptr) *uintptr {
	return (*uintptr)(unsafe.Add(unsafe.Pointer(word), WordSize))
}

// Undo undoes what Calm has done, as far as others would inherit it from the main thread: an init
// function has to call it, and start all of them. It has the stack grow at once to what will be
// needed: else that is copied four times, later, when there is more in it.
func Undo() {
	growStack()
	if slackWas != 0 {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetTimerSlack, slackWas, 0, 0, 0, 0)
	}
	if added {
		_ = os.Unsetenv(variable)
	}
}

//go:noinline
func growStack() {
	var room [24 << 10]byte
	touch(&room)
}

//go:noinline
func touch(room *[24 << 10]byte) { room[0] = 1 }
