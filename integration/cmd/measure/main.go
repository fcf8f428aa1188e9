// Command measure FILE PROGRAM ARG... runs a program and appends to a file its
// peak memory in KiB, how long it ran in nanoseconds, how many pages it touched first,
// its processor time in nanoseconds, and how often it waited. It is small itself: what
// a process used before it became another program counts, too (getrusage(2)).
package main

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	began := time.Now()
	pid, err := syscall.ForkExec(os.Args[2], os.Args[2:], &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fail(err)
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	if _, err := syscall.Wait4(pid, &status, 0, &usage); err != nil {
		fail(err)
	}
	took := time.Since(began)
	f, err := os.OpenFile(os.Args[1], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		fail(err)
	}
	line := ""
	for _, n := range []int64{usage.Maxrss, took.Nanoseconds(), usage.Minflt, usage.Utime.Nano() + usage.Stime.Nano(), usage.Nvcsw} {
		line += strconv.FormatInt(n, 10) + " "
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		fail(err)
	}
	os.Exit(status.ExitStatus())
}

func fail(err error) {
	println(err.Error())
	os.Exit(1)
}
