package demo

import (
	"bufio"
	"encoding/json"
	"io"
	"time"
	_ "unsafe" // for go:linkname

	"golang.org/x/sys/unix"
)

// report is what the probe in the container prints for each line it is sent.
type report struct {
	// Monotonic and Boottime are read by the system call clock_gettime.
	Monotonic time.Duration `json:"monotonic"`
	Boottime  time.Duration `json:"boottime"`
	// MonotonicVDSO is read without a system call, as Go and libc programs do.
	MonotonicVDSO time.Duration `json:"monotonicVDSO"`
	// Uptime is sysinfo(2)'s, in seconds, rounded up.
	Uptime int64 `json:"uptime"`
}

// nanotime is the Go runtime's reading of CLOCK_MONOTONIC, through the vDSO where
// the kernel gives one. The standard library has no exported form of it.
//
//go:linkname nanotime runtime.nanotime
func nanotime() int64

func readClocks() (report, error) {
	var mono, boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		return report{}, err
	}
	r := report{MonotonicVDSO: time.Duration(nanotime())}
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return report{}, err
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return report{}, err
	}
	r.Monotonic, r.Boottime = time.Duration(mono.Nano()), time.Duration(boot.Nano())
	r.Uptime = int64(info.Uptime)
	return r, nil
}

// Probe is the program in the container: for each line that it reads it reports
// its clocks as one line of JSON, until its input ends.
func Probe(in io.Reader, out io.Writer) error {
	lines, enc := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		r, err := readClocks()
		if err != nil {
			return err
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return lines.Err()
}
