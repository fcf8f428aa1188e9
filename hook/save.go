package hook

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/config"
	"oci-timens/internal/criu"
	"oci-timens/internal/saved"
	"oci-timens/spec"
	"oci-timens/timens"
)

// begin notes whose clocks are to be kept under a name, and which they are: those of the
// time namespace that the container's init is in or enters next.
func begin(cfg *config.Config, name, id string, p *timens.Process) error {
	o, err := p.Offsets()
	if err != nil {
		return err
	}
	return beginWith(o, cfg, name, id, p)
}

func beginWith(o timens.Offsets, cfg *config.Config, name, id string, p *timens.Process) (err error) {
	u := saved.User{ID: id, PID: p.PID()}
	if u.StartTicks, err = p.StartTicks(); err != nil {
		return err
	}
	host, err := wallClock()
	if err != nil {
		return err
	}
	if err := saved.In(cfg).Begin(name, u, o, host, 0); err != nil {
		return fmt.Errorf("annotation %q: %q: the clocks could not be kept: %w", spec.KeySave, name, err)
	}
	return nil
}

func wallClock() (timens.Host, error) { return timens.Host{}.WithWall() }

// poststop keeps the clocks of a container that has asked for it. Runtimes run this stage
// after its last task is gone (destroy in libcontainer/state_linux.go of runc 1.5.2, which
// kills what is left in the cgroup first).
func poststop(stdin io.Reader, settled []string) (id string, err error) {
	state, err := spec.ReadState(stdin)
	if err != nil {
		return "", err
	}
	name, err := saveName(state, settled)
	if err != nil || name == "" {
		return state.ID, err
	}
	cfg, err := config.Load()
	if err != nil {
		return state.ID, err
	}
	host, err := wallClock()
	if err != nil {
		return state.ID, err
	}
	log, closer := open(cfg, state.ID)
	defer closer.Close()
	if err := saved.In(cfg).End(name, state.ID, host, func() (saved.Restored, bool) { return restoredBefore(state.Bundle) }); err != nil {
		return state.ID, fmt.Errorf("annotation %q: %q: the clocks could not be kept, and go on as if the container had not ended: %w", spec.KeySave, name, err)
	}
	log.Infof("the clocks are kept as %q", name)
	return state.ID, nil
}

// saveName is the name under which the clocks are to be kept, "" for none.
func saveName(state *specs.State, settled []string) (string, error) {
	annotations, err := spec.StateAnnotations(state)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // no bundle any more, nor any annotations
	}
	if err != nil {
		return "", err
	}
	request, _, err := ask(settled, annotations)
	return request.Save, err
}

// restored is about a container that runc restores from a checkpoint: its clocks are
// CRIU's business, but where they are to be kept that has to be noted anew.
func restored(state *specs.State, settled []string) error {
	name, err := saveName(state, settled)
	if err != nil || name == "" || state.Pid <= 0 {
		return nil //nolint:nilerr // it was allowed to start once, with the same annotations
	}
	cfg, err := config.Load()
	if err != nil {
		return err
	}
	p, err := timens.OpenProcess(state.Pid)
	if err != nil {
		return err
	}
	defer p.Close()
	o, err := restoredOffsets(state.Bundle, p)
	if err != nil {
		return err
	}
	return beginWith(o, cfg, name, state.ID, p)
}

// restoredOffsets are those that a container is restored with. The shim notes them in the
// bundle; the process that this stage sees is in the namespace that CRIU makes of its
// images, and enters the shim's after it. Without the shim, it stays there.
func restoredOffsets(bundle string, p *timens.Process) (o timens.Offsets, err error) {
	host, err := wallClock()
	if err != nil {
		return o, err
	}
	start, err := p.HostAtStart(host)
	if err != nil {
		return o, err
	}
	if note, err := criu.ReadNote(bundle); err == nil && note.IsOf(start.Clocks.Boottime, host.Wall.BootID) {
		return note.After, nil
	}
	return p.Offsets()
}

// restoredBefore is what the shim has noted in a bundle.
func restoredBefore(bundle string) (saved.Restored, bool) {
	note, err := criu.ReadNote(bundle)
	return saved.Restored{Offsets: note.After, BootID: note.BootID, At: note.At}, err == nil
}
