package pod

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"syscall"
	"time"

	"oci-timens/internal/plan"
	"oci-timens/internal/private"
	"oci-timens/timens"
)

// maxKept is how many different readings the containers of one pod can ask for.
const maxKept = 64

// How long others are waited for, who need about a millisecond each. An engine that has
// asked a plugin goes on without it after two seconds (pkg/api/timeouts.go of NRI 0.12.3):
// a refusal has to come before.
const (
	lockTimeout     = 10 * time.Second
	lockTimeoutByID = time.Second
)

// state is the locked folder of all pods, and what one of them has kept.
type state struct {
	root *os.Root
	lock *os.File // the folder itself, whose lock ends with this process
	name string   // of the pod's file
	kept map[plan.Reading]timens.Offset
	look bool // change nothing
	told bool // somebody is told when pods end, and removes their records
}

// open makes the folder where it is not there, waits for its lock and reads the
// record of a pod, which is empty for a new one.
func open(r record) (*state, error) {
	list, err := folders()
	if err != nil {
		return nil, err
	}
	return openIn(list, r, os.Mkdir)
}

// look reads a record without changing anything. Nobody can see half of one.
func look(r record) (*state, error) {
	none := func(string, fs.FileMode) error { return fs.ErrExist }
	list, err := folders()
	if err != nil {
		return nil, err
	}
	s, err := openIn(list, r, none)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = &state{}, nil
	}
	if s != nil {
		s.look = true
	}
	return s, err
}

func openIn(folders []string, r record, mkdir func(string, fs.FileMode) error) (*state, error) {
	root, err := openFolder(folders, r.folder(), mkdir)
	if err != nil {
		return nil, err
	}
	s := &state{root: root, name: r.name(), told: r.pid == 0}
	if s.lock, err = root.Open("."); err == nil {
		err = private.Lock(s.lock, r.timeout())
	}
	step("pod locked")
	if err == nil {
		s.kept, err = s.read()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close also unlocks: nobody else has that file open.
func (s *state) close() {
	if s.lock != nil {
		s.lock.Close()
	}
	if s.root != nil {
		s.root.Close()
	}
}

// read returns what the pod has kept.
func (s *state) read() (map[plan.Reading]timens.Offset, error) {
	f, err := s.root.OpenFile(s.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return map[plan.Reading]timens.Offset{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || !private.Ours(info) {
		return nil, s.bad("it is no regular file that only this user can write to")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, err
	}
	kept, err := parse(string(text))
	if err != nil {
		return nil, s.bad(err.Error())
	}
	return kept, nil
}

func (s *state) bad(why string) error {
	return fmt.Errorf("%s/%s: %s: restart the pod, or remove the file", s.root.Name(), s.name, why)
}

// keep adds to the record, which is whole whenever it is looked at: until the rename it
// is the old one. What a process leaves that is killed before is written over by the next.
func (s *state) keep(list []plan.Resolved) error {
	if s.look {
		return nil
	}
	fresh := len(s.kept) == 0
	if len(s.kept)+len(list) > maxKept {
		// A container whose clocks are kept goes on from another snapshot each time that it
		// starts, perhaps in a loop.
		maps.DeleteFunc(s.kept, func(r plan.Reading, _ timens.Offset) bool {
			_, resumes := r.Setting.Resumes()
			return resumes
		})
	}
	for _, r := range list {
		s.kept[r.Reading] = r.Offset
	}
	if len(s.kept) > maxKept {
		return fmt.Errorf("its containers ask for more than %d different readings", maxKept)
	}
	const tmp = ".new"
	if err := s.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, format(s.kept))
	if e := f.Close(); err == nil {
		err = e
	}
	step("pod written")
	if err == nil {
		err = s.root.Rename(tmp, s.name)
	}
	step("pod kept")
	if err != nil {
		_ = s.root.Remove(tmp)
		return err
	}
	if fresh && !s.told {
		s.prune()
	}
	return nil
}

// maxPruned bounds what one container does for others.
const maxPruned = 64

// prune removes records of pods that have ended, beginning anywhere, so that with
// time all are looked at. What goes wrong is left for the next.
func (s *state) prune() {
	names, err := s.lock.Readdirnames(-1)
	if err != nil {
		return
	}
	from := int(time.Now().UnixNano() % int64(max(1, len(names))))
	for i := range min(len(names), maxPruned) {
		name := names[(from+i)%len(names)]
		if r, ok := parseName(name); ok && !timens.Runs(r.pid, r.start) {
			_ = s.root.Remove(name)
		}
	}
}
