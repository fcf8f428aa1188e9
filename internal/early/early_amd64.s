#include "textflag.h"

// _rt0_timens_hook is the entry point of timens-hook: see calm.go. The kernel has put argc, the
// arguments, the environment and more where SP points. When start returns, Go's runtime
// starts with what it returns, 16 bytes below or in the same place.
TEXT _rt0_timens_hook(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, AX
	SUBQ	$80, SP			// the 16 bytes, and room for what the callee may spill
	ANDQ	$~15, SP
	XORPS	X15, X15		// as Go's ABI has it (abi-internal.md)
	XORL	R14, R14		// no goroutine yet
	MOVQ	·entry(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	MOVQ	AX, SP
	JMP	_rt0_amd64_linux(SB)
