package guest

import (
	"fmt"
	"time"
)

// ticks reads this machine's time stamp counter, which is the guest's as well
// (QEMU, include/qemu/timer.h, cpu_get_host_ticks).
func ticks() uint64

// tscFrequency is a parameter for the kernel of a guest whose processor is emulated. By
// itself it would count ticks between interrupts, which come late on a busy machine: its
// clocks then went twenty times too fast.
func tscFrequency() string {
	const long = 50 * time.Millisecond
	var khz uint64
	for least := time.Hour; least > long+time.Millisecond; {
		before, from := ticks(), time.Now()
		time.Sleep(long)
		took, after := time.Since(from), ticks()
		if took < least {
			least, khz = took, (after-before)*uint64(time.Millisecond)/uint64(took)
		}
	}
	return fmt.Sprintf(" tsc_early_khz=%d", khz)
}
