// Package probe reads the clocks of the process it runs in, in every way that
// a program can: through the vDSO, by system call, from /proc, and by waiting
// for timers. It runs inside containers and is what tests and the demo believe.
//
// It judges nothing and knows no offsets, annotations or runtimes, and it does
// not import the packages that it is there to check: /proc is read here by
// itself. Judging belongs to its callers.
package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Usage says what Run's arguments may be.
const Usage = `usage: probe [now | hold | timers [DURATION] | bench [CALLS] | watch FILE [DURATION]]

now     report clocks, uptime, start time and namespaces (the default)
hold    report the same, then wait for SIGTERM or SIGINT
timers  arm every kind of absolute timer and report when each fired
bench   report what one clock reading costs
watch   report like hold, then watch the clocks, with timers armed for DURATION from
        then, and at SIGHUP and in the end write to FILE what was seen; go on from
        what is there
`

// Run does what args ask for and writes one JSON object to w: a Report for now,
// hold and watch, a Timers for timers, a Cost for bench. It returns the exit code: 0,
// 1 for a failure, 2 for wrong arguments, with the reason on stderr.
func Run(w io.Writer, args []string) int {
	if len(args) > 1 && args[0] == "watch" {
		return runWatch(w, args[1], args[2:])
	}
	mode, arg := "now", ""
	switch len(args) {
	case 0:
	case 1:
		mode = args[0]
	case 2:
		mode, arg = args[0], args[1]
	default:
		mode = "?"
	}
	result, err := measure(mode, arg)
	if result == nil && err == nil {
		fmt.Fprint(os.Stderr, Usage)
		return 2
	}
	stop := make(chan os.Signal, 1)
	// Before the report, so that whoever has read it may send the signal.
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	if err == nil {
		err = json.NewEncoder(w).Encode(result)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		return 1
	}
	if mode == "hold" {
		<-stop
	}
	return 0
}

func runWatch(w io.Writer, file string, args []string) int {
	var err error
	after := time.Minute
	if len(args) > 0 {
		after, err = time.ParseDuration(args[0])
	}
	if len(args) > 1 {
		err = fmt.Errorf("watch: %q is too much", args[1])
	}
	if err == nil {
		err = watch(w, file, after)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		return 1
	}
	return 0
}

// measure returns nil and no error when there is no such mode.
func measure(mode, arg string) (any, error) {
	switch {
	case (mode == "now" || mode == "hold") && arg == "":
		return Read()
	case mode == "timers":
		after := 200 * time.Millisecond
		if arg != "" {
			d, err := time.ParseDuration(arg)
			if err != nil {
				return nil, fmt.Errorf("timers %q: %w", arg, err)
			}
			after = d
		}
		return WaitTimers(after)
	case mode == "bench":
		calls := 1_000_000
		if arg != "" {
			n, err := strconv.Atoi(arg)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("bench %q: want a number of calls", arg)
			}
			calls = n
		}
		return Measure(calls)
	}
	return nil, nil
}
