// Package preflight finds out, before a container is checkpointed, what would keep it
// from being restored. CRIU dumps some containers that it cannot restore, and they are
// gone then; others it gives up in the middle.
//
// It looks and changes nothing. What is done about it, and the checkpoint itself, belong
// to the callers: the shim, for which it must be quick, and timensctl.
package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"oci-timens/timens"
)

// Check refuses a container that could not be restored because of its time namespaces:
// one of its tasks is in another than its init, or is about to be. init is a PID, as
// Init returns it.
func Check(init int) error {
	c, err := Look(init)
	if err != nil {
		return err
	}
	return Refusal(init, c)
}

// A process that a runtime is about to put into the container, for an exec, is on its way
// there for some 10 ms. So that it does not fail a checkpoint, strays are looked at again.
const (
	looks    = 4
	interval = 20 * time.Millisecond
)

// Look sees where the tasks of a container are. Strays are those that stay.
func Look(init int) (timens.Container, error) {
	p, err := timens.OpenProcess(init)
	if err != nil {
		return timens.Container{}, ended(err)
	}
	defer p.Close()
	for look := 1; ; look++ {
		c, err := p.ReadContainer()
		if err != nil || len(c.Strays) == 0 || look == looks {
			return c, ended(err)
		}
		time.Sleep(interval)
	}
}

// ended makes an error about a process that has ended match ErrNotRunning.
func ended(err error) error {
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("container init: %w: %w", ErrNotRunning, err)
	}
	return err
}

// Refusal says what is wrong with a container, or returns nil.
func Refusal(init int, c timens.Container) error {
	if len(c.Strays) == 0 {
		return nil
	}
	first := c.Strays[0]
	return fmt.Errorf("the container could not be restored: %s%s; %s",
		describe(init, c.Namespaces, first), others(c.Strays), advice(init, c.Namespaces, first))
}

// describe says what is wrong with one thread.
func describe(init int, ns timens.Namespaces, s timens.Stray) string {
	who := fmt.Sprintf("process %d (%q)", s.PID, s.Name)
	if s.TID != s.PID {
		who = fmt.Sprintf("thread %d (%q) of process %d", s.TID, s.Name, s.PID)
	}
	if s.Namespaces.Time != ns.Time {
		return fmt.Sprintf("%s has other clocks than its init, process %d: it is in time:[%d], and init in time:[%d]",
			who, init, s.Namespaces.Time.Ino, ns.Time.Ino)
	}
	if s.PID == init {
		who += ", its init,"
	}
	return fmt.Sprintf("%s is about to have other clocks: its children, and since Linux 6.2 its next program, will be in time:[%d], and it is in time:[%d]",
		who, s.Namespaces.ForChildren.Ino, ns.Time.Ino)
}

// others names the processes of the strays but the first.
func others(strays []timens.Stray) string {
	const most = 5
	var list []string
	seen := map[int]bool{strays[0].PID: true}
	for _, s := range strays {
		if !seen[s.PID] {
			seen[s.PID] = true
			list = append(list, fmt.Sprintf("%d (%q)", s.PID, s.Name))
		}
	}
	switch n := len(list); {
	case n == 0:
		return ""
	case n > most:
		list = append(list[:most], fmt.Sprintf("%d more", n-most))
	}
	return ", and so do " + strings.Join(list, ", ")
}

// advice says what to do about the first stray.
func advice(init int, ns timens.Namespaces, s timens.Stray) string {
	switch {
	case s.Namespaces.Time != ns.Time:
		return "an exec that does not join the container's time namespace, as that of runc 1.1, does this: end the process, and checkpoint then"
	case s.PID == init:
		return "wait until it runs its program, and checkpoint then"
	}
	return "end the process, and checkpoint then"
}
