#include "textflag.h"

// _rt0_timens_runc is the entry point of timens-runc: see early_amd64.s.
TEXT _rt0_timens_runc(SB),NOSPLIT|NOFRAME,$0
	MOVD	RSP, R0
	SUB	$80, RSP
	MOVD	ZR, g
	MOVD	·earlyEntry(SB), R26
	MOVD	(R26), R1
	CALL	(R1)
	MOVD	R0, RSP
	JMP	_rt0_arm64_linux(SB)
