#include "textflag.h"

// _rt0_timens_runc is the entry point of timens-runc, as _rt0_timens_hook of internal/early is that of
// timens-hook: see early.go.
TEXT _rt0_timens_runc(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, AX
	SUBQ	$80, SP			// the 16 bytes, and room for what the callee may spill
	ANDQ	$~15, SP
	XORPS	X15, X15		// as Go's ABI has it (abi-internal.md)
	XORL	R14, R14		// no goroutine yet
	MOVQ	·earlyEntry(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	MOVQ	AX, SP
	JMP	_rt0_amd64_linux(SB)
