package timens

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc: sysconf(_SC_CLK_TCK) is 100 on every
// architecture that Go runs on.
const clockTick = time.Second / 100

// HostAtStart returns h as it was when the process was started, or up to 10 ms
// earlier: the kernel tells the start in clock ticks, rounded down. Offsets that
// are made for clocks to read something at that time leave the process no start
// before their zero, which /proc/PID/stat could not express.
func (p *Process) HostAtStart(h Host) (Host, error) {
	ticks, err := p.startTicks()
	if err != nil {
		return Host{}, err
	}
	start := time.Duration(ticks) * clockTick
	if !h.Own.Boottime.IsZero() && startTimesShifted() {
		if start, err = unshifted(start, h.Own.Boottime); err != nil {
			return Host{}, fmt.Errorf("process %d: start time: %w", p.pid, err)
		}
	}
	age := h.Clocks.Boottime - start
	h.Clocks.Boottime -= age
	h.Clocks.Monotonic = max(0, h.Clocks.Monotonic-age) // it stands still while the machine sleeps
	h.Wall.Boottime, h.Wall.Realtime = h.Wall.Boottime-age, h.Wall.Realtime-age
	return h, nil
}

// startTimesShifted tells whether /proc/PID/stat has start times as the clocks of its reader
// have them: since Linux 5.11 ("fs/proc: apply the time namespace offset to /proc/stat
// btime", and the commit before it). Debian's 5.10 has not.
func startTimesShifted() bool {
	major, minor := kernelVersion()
	return major != 5 || minor >= 11
}

func (p *Process) startTicks() (uint64, error) {
	text, err := p.read("stat")
	if err != nil {
		return 0, err
	}
	ticks, err := parseStartTicks(string(text))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", p.pid, err)
	}
	return ticks, nil
}

// parseStartTicks returns field 22 of /proc/PID/stat, proc_pid_stat(5). The second
// is the name in parentheses and may hold anything, so the rest is counted from
// its end.
func parseStartTicks(stat string) (uint64, error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 20 {
		return 0, fmt.Errorf("no start time in its stat %q", stat)
	}
	return strconv.ParseUint(f[19], 10, 64)
}
