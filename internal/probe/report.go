package probe

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Report is what a process sees of time. Times are nanoseconds.
type Report struct {
	PID       int `json:"pid"`
	ParentPID int `json:"parentPid"`

	// The links below /proc/self/ns, such as "time:[4026531834]".
	TimeNamespace   string `json:"timeNamespace"`
	TimeForChildren string `json:"timeForChildren"`
	PIDNamespace    string `json:"pidNamespace"`

	Monotonic Sample `json:"monotonic"`
	Boottime  Sample `json:"boottime"`
	// Relatives of CLOCK_MONOTONIC, by system call.
	MonotonicRaw    int64 `json:"monotonicRaw"`
	MonotonicCoarse int64 `json:"monotonicCoarse"`

	// What follows CLOCK_BOOTTIME, read after Boottime and before BoottimeAfter.
	Uptime        int64 `json:"uptime"`        // /proc/uptime, to 10 ms
	Sysinfo       int64 `json:"sysinfo"`       // sysinfo(2), whole seconds, rounded up
	StartTime     int64 `json:"startTime"`     // of this process, /proc/self/stat, to 10 ms
	BootedAt      int64 `json:"bootedAt"`      // btime of /proc/stat: REALTIME minus BOOTTIME, whole seconds
	BoottimeAfter int64 `json:"boottimeAfter"` // CLOCK_BOOTTIME, by system call
}

// Sample is one clock read in every way, in this order. The kernel promises that
// no reading is below the one before it.
type Sample struct {
	VDSO      int64 `json:"vdso"`
	Raw       int64 `json:"raw"`      // by system call
	Realtime  int64 `json:"realtime"` // CLOCK_REALTIME, by system call: no namespace shifts it
	VDSOAfter int64 `json:"vdsoAfter"`
}

// sampleTries is how often a clock is sampled: the quickest attempt is kept, as
// it tells best how the clock stands to CLOCK_REALTIME.
const sampleTries = 32

// Read reports on the calling process.
func Read() (r Report, err error) {
	gettime, err := findVDSO()
	if err != nil {
		return r, err
	}
	r.PID, r.ParentPID = os.Getpid(), os.Getppid()
	for link, to := range map[string]*string{
		"time": &r.TimeNamespace, "time_for_children": &r.TimeForChildren, "pid": &r.PIDNamespace,
	} {
		if *to, err = os.Readlink("/proc/self/ns/" + link); err != nil {
			return r, err
		}
	}
	if r.Monotonic, err = sample(gettime, unix.CLOCK_MONOTONIC); err != nil {
		return r, err
	}
	if r.MonotonicRaw, err = now(unix.CLOCK_MONOTONIC_RAW); err != nil {
		return r, err
	}
	if r.MonotonicCoarse, err = now(unix.CLOCK_MONOTONIC_COARSE); err != nil {
		return r, err
	}
	if r.Boottime, err = sample(gettime, unix.CLOCK_BOOTTIME); err != nil {
		return r, err
	}
	if err := r.readUptimes(); err != nil {
		return r, err
	}
	r.BoottimeAfter, err = now(unix.CLOCK_BOOTTIME)
	return r, err
}

func sample(gettime vdso, clock int32) (best Sample, err error) {
	for range sampleTries {
		var s Sample
		if s.VDSO, err = gettime.now(clock); err != nil {
			return s, err
		}
		if s.Raw, err = now(clock); err != nil {
			return s, err
		}
		if s.Realtime, err = now(unix.CLOCK_REALTIME); err != nil {
			return s, err
		}
		if s.VDSOAfter, err = gettime.now(clock); err != nil {
			return s, err
		}
		if best == (Sample{}) || s.VDSOAfter-s.VDSO < best.VDSOAfter-best.VDSO {
			best = s
		}
	}
	return best, nil
}

// now reads a clock by system call: unix.ClockGettime does not use the vDSO.
func now(clock int32) (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("clock_gettime(%d): %w", clock, err)
	}
	return ts.Nano(), nil
}

const (
	nanosPerSecond = 1_000_000_000
	nanosPerTick   = nanosPerSecond / 100 // USER_HZ is 100 on amd64 and arm64
)

func (r *Report) readUptimes() error {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), " ")
	secs, hundredths, _ := strings.Cut(first, ".")
	if r.Uptime, err = number("/proc/uptime", secs+hundredths, nanosPerSecond/100); err != nil {
		return err
	}

	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return fmt.Errorf("sysinfo: %w", err)
	}
	r.Sysinfo = info.Uptime * nanosPerSecond

	if text, err = os.ReadFile("/proc/self/stat"); err != nil {
		return err
	}
	// proc(5): the name in parentheses is field 2 and may hold anything; the start time is field 22.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return fmt.Errorf("/proc/self/stat %q: too few fields", text)
	}
	if r.StartTime, err = number("/proc/self/stat", fields[22-3], nanosPerTick); err != nil {
		return err
	}

	if text, err = os.ReadFile("/proc/stat"); err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "btime "); ok {
			r.BootedAt, err = number("/proc/stat btime", strings.TrimSpace(v), nanosPerSecond)
			return err
		}
	}
	return fmt.Errorf("/proc/stat has no btime")
}

// number reads a count of units and returns nanoseconds.
func number(where, text string, unit int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	return n * unit, nil
}
