// Package early is for what a program does before Go's runtime starts: it is linked with -E and
// an entry point of ours.
//
// There is no heap, no goroutine and no signal handler yet, and the stack is the kernel's. So
// functions must not grow it, allocate or panic, and call nothing but each other and raw system
// calls. Strings are as C has them.
package early

import "unsafe"

// WordSize is that of a pointer, in bytes.
const WordSize = unsafe.Sizeof(uintptr(0))

// Environment returns the environment behind what the kernel has put on the stack: argc, the
// arguments, nil.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Environment(stack *uintptr) **byte {
	return (**byte)(unsafe.Add(unsafe.Pointer(stack), (*stack+2)*WordSize))
}

// Arg returns an element of a list that ends with nil.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Arg(list **byte, i uintptr) *byte {
	return *(**byte)(unsafe.Add(unsafe.Pointer(list), i*WordSize))
}

// Next returns what comes behind a byte.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Next(s *byte) *byte { return (*byte)(unsafe.Add(unsafe.Pointer(s), 1)) }

// Behind returns what comes behind a prefix, or nil.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Behind(s *byte, prefix string) *byte {
	for i := range len(prefix) {
		if *s != prefix[i] {
			return nil
		}
		s = Next(s)
	}
	return s
}

// Is compares all of a string.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Is(s *byte, text string) bool {
	rest := Behind(s, text)
	return rest != nil && *rest == 0
}
