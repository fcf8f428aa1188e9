package timens

import (
	"fmt"
)

// OffsetsAt returns the offsets of the time namespace at a path, such as /proc/PID/ns/time
// or one that Pin has made. The kernel shows those of a process alone, so one enters it
// that runs no instruction of its own.
func OffsetsAt(path string) (o Offsets, err error) {
	err = withStopped(func(t *tracee) error {
		if err := t.begin(); err != nil {
			return err
		}
		if err := t.enterAt(path); err != nil {
			return fmt.Errorf("entering the time namespace at %q: %w", path, err)
		}
		o, err = ReadOffsets(t.pid)
		return err
	})
	return o, err
}
