package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/config"
	"oci-timens/internal/saved"
	"oci-timens/spec"
	"oci-timens/timens"
)

// leastEvery is what a disk can be asked for, which has to have each snapshot in half that
// time.
const leastEvery = time.Second

// keep is "snapshot --save".
func keep(ctx context.Context, what, name string, every time.Duration, repeats bool, errw io.Writer) error {
	switch {
	case name == "":
		return errors.New("--every needs --save NAME: under which name the snapshots are kept")
	case strings.HasPrefix(what, "saved:"):
		return fmt.Errorf("--save: %q is saved already: name a container that runs", what)
	case repeats && every < leastEvery:
		return fmt.Errorf("--every %v is less than %v: each snapshot has to reach the disk", every, leastEvery)
	}
	name, err := spec.ParseSavedName(name)
	if err != nil {
		return fmt.Errorf("--save: %w", err)
	}
	cfg, err := config.Load()
	if err != nil {
		return err
	}
	if cfg.Policy.MaxSaved == 0 {
		return errors.New("--save: policy.max-saved of this host's configuration is 0")
	}
	v, err := inspectKnown(what)
	if err != nil {
		return err
	}
	p, err := timens.OpenProcess(v.PID)
	if err != nil {
		return err
	}
	defer p.Close()
	k := keeper{store: saved.In(cfg), name: name, offsets: v.Offsets.value(), user: saved.User{ID: v.Container, PID: v.PID}}
	if v.Container == "" {
		k.user.ID = fmt.Sprintf("process %d", v.PID)
	}
	if k.user.StartTicks, err = p.StartTicks(); err != nil {
		return err
	}
	if !repeats {
		return k.begin(0)
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	return k.repeat(ctx, every, errw)
}

// keeper keeps the clocks of one container that runs.
type keeper struct {
	store   saved.Store
	name    string
	offsets timens.Offsets
	user    saved.User
}

func (k keeper) begin(interval time.Duration) error {
	host, err := timens.Host{}.WithWall()
	if err != nil {
		return err
	}
	return k.store.Begin(k.name, k.user, k.offsets, host, interval)
}

// repeat keeps the clocks until the container ends, or until it is told to stop: then
// nobody may rely on the interval any more. It takes two snapshots in the time that one
// may be old, so that this holds where the disk takes a while.
func (k keeper) repeat(ctx context.Context, every time.Duration, errw io.Writer) error {
	fd, err := unix.PidfdOpen(k.user.PID, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", k.user.PID, err)
	}
	defer unix.Close(fd)
	if !timens.Runs(k.user.PID, k.user.StartTicks) {
		return fmt.Errorf("process %d has ended", k.user.PID)
	}
	if err := k.begin(every); err != nil {
		return err
	}
	for told := ""; ; {
		ended, err := waitEnd(ctx, fd, time.Now().Add(every/2))
		switch {
		case err != nil:
			return err
		case ended:
			return k.end()
		case ctx.Err() != nil:
			return k.begin(0)
		}
		if err := k.begin(every); err != nil && told != err.Error() { // a disk may be full for a while
			told = err.Error()
			fmt.Fprintf(errw, "%s: no snapshot of %s: %v\n", name, k.user.ID, err)
		}
	}
}

func (k keeper) end() error {
	host, err := timens.Host{}.WithWall()
	if err != nil {
		return err
	}
	return k.store.End(k.name, k.user.ID, host, func() (saved.Restored, bool) { return saved.Restored{}, false })
}

// waitEnd waits until the process of a pidfd has ended, and with it all others of its PID
// namespace, if it is the first there (zap_pid_ns_processes in kernel/pid_namespace.c).
func waitEnd(ctx context.Context, fd int, until time.Time) (ended bool, err error) {
	const pause = 100 * time.Millisecond // to look at ctx
	for {
		left := min(time.Until(until), pause)
		if left <= 0 || ctx.Err() != nil {
			return false, nil
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n > 0 || err != nil && err != unix.EINTR {
			return n > 0, err
		}
	}
}
