#include "textflag.h"

// func callVDSO(fn, clock uintptr, ts *unix.Timespec) int32
//
// The frame is the C function's stack: Go grows the goroutine's stack to fit
// it, and the vDSO needs a small part. R20 survives C calls.
TEXT ·callVDSO(SB), 0, $4096-28
	MOVD fn+0(FP), R9
	MOVD clock+8(FP), R0
	MOVD ts+16(FP), R1
	MOVD RSP, R20
	ADD  $4080, R20, R10
	AND  $~15, R10, R10
	MOVD R10, RSP
	CALL (R9)
	MOVD R20, RSP
	MOVW R0, ret+24(FP)
	RET
