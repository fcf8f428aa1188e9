// Package saved keeps snapshots of clocks on disk, by the names that annotations give
// them: those of containers that have ended, and what is needed to go on from those that
// were never seen to end, because the machine died, or their runtime.
//
// What a container asks for, and whether it may, does not belong here, nor how a snapshot
// becomes offsets.
package saved

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

// lockTimeout is how long others are waited for, who need some milliseconds each.
const lockTimeout = 10 * time.Second

// Store is a folder of snapshots. Names are "NAME", or "NAMESPACE/NAME" for the pods of a
// Kubernetes namespace, as in [spec.Request].
type Store struct {
	dir string // "" for the user's own
	max int
}

// In is the store that the configuration names.
func In(c *config.Config) Store { return Store{c.SavedDir, c.Policy.MaxSaved} }

// User is a container that has the clocks that are kept, by its init.
type User struct {
	ID         string
	PID        int
	StartTicks uint64 // see [timens.Runs]
}

// Lookup returns what a container goes on from under a name, on a host whose Wall is set.
// note, where it is not "", is a remark for the log. An error is fs.ErrNotExist where
// nothing is kept under that name.
//
// Of a container that was not seen to end it is known what its clocks would read now, had
// it run on: they go on from there, and so never backward. After the machine has started
// anew that holds as well, by its wall clock, unless snapshots were taken at an interval.
func (s Store) Lookup(name string, h timens.Host) (snap timens.Snapshot, note string, err error) {
	r, path, err := s.read(name)
	if err != nil {
		return snap, "", err
	}
	if snap, err = r.at(h); err != nil {
		return snap, "", fmt.Errorf("%s: %w", path, err)
	}
	return snap, r.note(path, snap, h), nil
}

// Resolve has the clocks of a request go on from what is kept under the name that it
// gives, on a host whose Wall is set. Where nothing is kept that is an error, unless the
// request says what else it asks for.
func (s Store) Resolve(req *spec.Request, h timens.Host) error {
	if req.Saved.Name == "" {
		return nil
	}
	r, path, err := s.read(req.Saved.Name)
	var snap timens.Snapshot
	if err == nil {
		snap, err = r.at(h)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && req.Saved.OrNew:
		req.Notes = append(req.Notes, fmt.Sprintf("%s: %q: nothing has been saved yet", req.Saved.Source, req.Saved.Value))
		req.Saved = spec.Saved{}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %q: nothing has been saved under that name in %s; \"saved-or-new:\" lets the first container start without", req.Saved.Source, req.Saved.Value, s.Where())
	case err != nil:
		return fmt.Errorf("%s: %q: %w", req.Saved.Source, req.Saved.Value, err)
	}
	if note := r.note(path, snap, h); note != "" {
		req.Notes = append(req.Notes, note)
	}
	if !r.goesOn(h) {
		req.Resume(snap)
		return nil
	}
	// As offsets, which are the same for all containers of a pod, whenever each starts.
	var own timens.Offsets
	for _, c := range timens.AllClocks() {
		v, err := r.offsets.Get(c).Sub(h.Own.Get(c))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		own = own.With(c, v)
	}
	req.GoOn(func(c timens.Clock) timens.Setting { return timens.OffsetSetting(own.Get(c)) })
	return nil
}

// read returns what is kept under a name, and the file, for messages.
func (s Store) read(name string) (r record, path string, err error) {
	f, err := s.open(false)
	if err != nil {
		return r, "", err
	}
	defer f.close()
	r, err = f.read(name)
	return r, f.path(name), err
}

// Begin notes that a container starts, or is running, with these offsets, and that its
// clocks are to be kept under a name: should nobody see it end, others can go on from
// what is noted. With an interval it is meant to be called again at that interval.
// When Begin returns, the disk has it.
func (s Store) Begin(name string, u User, o timens.Offsets, h timens.Host, interval time.Duration) error {
	return s.change(name, func(f *folder, r *record, found bool) (write bool, err error) {
		if !found {
			if err := f.mayAdd(name, s.max); err != nil {
				return false, err
			}
		}
		if !r.inUse(h) {
			r.users = nil
			r.offsets = o
		}
		for _, c := range timens.AllClocks() {
			// Clocks of several containers under one name: nobody sees less than has been seen.
			if o.Get(c).Compare(r.offsets.Get(c)) > 0 {
				r.offsets = r.offsets.With(c, o.Get(c))
			}
		}
		r.users = append(slices.DeleteFunc(r.users, func(v User) bool { return v.ID == u.ID || !timens.Runs(v.PID, v.StartTicks) }), u)
		r.ended = ""
		if len(r.users) > maxUsers {
			return false, fmt.Errorf("%s: more than %d containers are to keep their clocks under this name", f.path(name), maxUsers)
		}
		r.snapshot, err = timens.TakeSnapshot(r.offsets, h)
		r.snapshot.Interval = interval
		return true, err
	})
}

// Restored is how the clocks of a container went on that was restored from a checkpoint,
// when CLOCK_BOOTTIME of that boot of the host read At.
type Restored struct {
	Offsets timens.Offsets
	BootID  string
	At      time.Duration
}

// End notes that a container has ended, with all its tasks, and keeps what its clocks read
// now, unless others that run have them too. A container that [Store.Begin] was not called
// for changes nothing. What is known of a restore of it is asked if that matters.
func (s Store) End(name, id string, h timens.Host, restored func() (Restored, bool)) error {
	return s.change(name, func(f *folder, r *record, found bool) (write bool, err error) {
		i := slices.IndexFunc(r.users, func(u User) bool { return u.ID == id })
		switch {
		case !found:
			return false, nil
		case i < 0 && r.ended == id && len(r.users) == 0:
			return true, r.endAgain(h, restored)
		case i < 0 || r.snapshot.Wall.BootID != h.Wall.BootID:
			return false, nil
		}
		r.users = slices.DeleteFunc(r.users, func(u User) bool { return u.ID == id || !timens.Runs(u.PID, u.StartTicks) })
		if len(r.users) == 0 {
			r.ended = id
		}
		r.snapshot, err = timens.TakeSnapshot(r.offsets, h)
		return true, err
	})
}

// endAgain is about a container that ended before, and so has been restored from a
// checkpoint by a runtime that runs no hooks then (crun). If nobody has noted how its
// clocks went on, they cannot have gone faster than time.
func (r *record) endAgain(h timens.Host, restored func() (Restored, bool)) (err error) {
	was := r.snapshot.Wall
	if now, ok := restored(); ok && now.BootID == h.Wall.BootID && (now.BootID != was.BootID || now.At > was.Boottime) {
		r.offsets = now.Offsets
		r.snapshot, err = timens.TakeSnapshot(r.offsets, h)
		return err
	}
	if r.snapshot.Interval == 0 {
		r.snapshot.Interval, _, err = r.snapshot.Gap(h)
	}
	return err
}

// change calls f for what is kept under a name, with the folder locked, and writes the
// record where f says so.
func (s Store) change(name string, do func(f *folder, r *record, found bool) (write bool, err error)) error {
	f, err := s.open(true)
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.hold(); err != nil {
		return err
	}
	r, err := f.read(name)
	found := !errors.Is(err, fs.ErrNotExist)
	if err != nil && found {
		return err
	}
	write, err := do(f, &r, found)
	if err != nil || !write {
		return err
	}
	return f.write(name, r)
}

// split returns the folder of a name below that of the store, and the file in it. No name
// begins with "@", so that a namespace takes no name away from those who are in none.
func split(name string) (dir, file string) {
	if namespace, name, ok := strings.Cut(name, "/"); ok {
		return "@" + namespace, name
	}
	return ".", name
}
