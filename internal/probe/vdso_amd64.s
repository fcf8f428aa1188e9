#include "textflag.h"

// func callVDSO(fn, clock uintptr, ts *unix.Timespec) int32
//
// The frame is the C function's stack: Go grows the goroutine's stack to fit
// it, and the vDSO needs a small part. BX survives C calls.
TEXT ·callVDSO(SB), 0, $4096-28
	MOVQ fn+0(FP), AX
	MOVQ clock+8(FP), DI
	MOVQ ts+16(FP), SI
	MOVQ SP, BX
	LEAQ 4080(SP), DX
	ANDQ $~15, DX
	MOVQ DX, SP
	CALL AX
	MOVQ BX, SP
	MOVL AX, ret+24(FP)
	RET
