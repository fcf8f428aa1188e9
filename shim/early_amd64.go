package shim

import "syscall"

const sysFstatat = syscall.SYS_NEWFSTATAT
