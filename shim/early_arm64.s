#include "textflag.h"

// _rt0_timens is the entry point of timens-runc: see early_amd64.s.
TEXT _rt0_timens(SB),NOSPLIT|NOFRAME,$0
	MOVD	RSP, R0
	MOVD	RSP, R19
	SUB	$64, RSP
	MOVD	R19, 48(RSP)
	MOVD	ZR, g
	MOVD	·earlyEntry(SB), R26
	MOVD	(R26), R1
	CALL	(R1)
	MOVD	48(RSP), R19
	MOVD	R19, RSP
	JMP	_rt0_arm64_linux(SB)
