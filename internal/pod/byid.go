package pod

import (
	"errors"
	"io/fs"
	"os"

	"oci-timens/internal/plan"
	"oci-timens/internal/private"
)

// DecideByID is [Decide] for who sees no processes, but is told when pods end, as a
// plugin of the engine is. The sandbox has the host's clocks. What the containers of a
// pod share is kept until [Forget] or [Retain].
func DecideByID(id string, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	return decideByID(id, a, decide, open)
}

// LookByID is DecideByID for who wants to know, and changes nothing.
func LookByID(id string, a plan.Ask, decide func(plan.Ask) (plan.Plan, error)) (plan.Plan, error) {
	return decideByID(id, a, decide, look)
}

func decideByID(id string, a plan.Ask, decide func(plan.Ask) (plan.Plan, error), open func(record) (*state, error)) (plan.Plan, error) {
	a.Pod = &plan.Pod{Sandbox: a.Host.Own}
	return withKept(record{id: id}, a, decide, open)
}

// Forget removes what a pod that has ended has kept.
func Forget(id string) error {
	list, err := folders()
	if err != nil {
		return err
	}
	return forget(list, id)
}

func forget(folders []string, id string) error {
	s, err := openKept(folders)
	if s == nil {
		return err
	}
	defer s.close()
	return s.remove(id)
}

// Retain removes what all other pods have kept than those that alive tells. It returns
// how many there were.
func Retain(alive func(id string) bool) (removed int, err error) {
	list, err := folders()
	if err != nil {
		return 0, err
	}
	return retain(list, alive)
}

func retain(folders []string, alive func(id string) bool) (removed int, err error) {
	s, err := openKept(folders)
	if s == nil {
		return 0, err
	}
	defer s.close()
	names, err := s.lock.Readdirnames(-1)
	errs := []error{err}
	for _, name := range names {
		if alive(name) {
			continue
		}
		err := s.remove(name)
		errs = append(errs, err)
		if err == nil {
			removed++
		}
	}
	return removed, errors.Join(errs...)
}

// openKept locks the folder of DecideByID. There is none, and no error, while nobody has
// kept anything.
func openKept(folders []string) (*state, error) {
	none := func(string, fs.FileMode) error { return fs.ErrExist }
	root, err := openFolder(folders, byID, none)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &state{root: root}
	if s.lock, err = root.Open("."); err == nil {
		err = private.Lock(s.lock, lockTimeoutByID)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *state) remove(name string) error {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
