// Command rss FILE PROGRAM ARG... runs a program and appends its peak memory to a
// file, in KiB. It is small itself: what a process used before it became another
// program counts, too (getrusage(2)).
package main

import (
	"os"
	"strconv"
	"syscall"
)

func main() {
	pid, err := syscall.ForkExec(os.Args[2], os.Args[2:], &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fail(err)
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	if _, err := syscall.Wait4(pid, &status, 0, &usage); err != nil {
		fail(err)
	}
	f, err := os.OpenFile(os.Args[1], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		fail(err)
	}
	if _, err := f.WriteString(strconv.FormatInt(usage.Maxrss, 10) + "\n"); err != nil {
		fail(err)
	}
	os.Exit(status.ExitStatus())
}

func fail(err error) {
	println(err.Error())
	os.Exit(1)
}
