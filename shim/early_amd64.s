#include "textflag.h"

// _rt0_timens is the entry point of timens-runc: see early.go. The kernel has put argc, the
// arguments, the environment and more where SP points. When handOn returns, all of it is left
// to Go's runtime as it was.
TEXT _rt0_timens(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, AX
	SUBQ	$64, SP			// room for what the callee may spill, and for SP itself
	ANDQ	$~15, SP
	MOVQ	AX, 48(SP)
	XORPS	X15, X15		// as Go's ABI has it (abi-internal.md)
	XORL	R14, R14		// no goroutine yet
	MOVQ	·earlyEntry(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	MOVQ	48(SP), AX
	MOVQ	AX, SP
	JMP	_rt0_amd64_linux(SB)
