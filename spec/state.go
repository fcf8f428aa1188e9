package spec

import (
	"errors"
	"fmt"
	"io"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// MaxStateSize is the largest container state that is read, in bytes.
const MaxStateSize = 1 << 20

// ReadState reads the container state that a runtime writes to the standard
// input of a hook: one JSON object of at most MaxStateSize bytes. runc and crun
// differ in the status at createRuntime ("creating", "created"), and crun adds a
// property "root"; properties that are not in the specification are ignored. An
// id, and a pid unless the container is stopped, must be there.
func ReadState(r io.Reader) (*specs.State, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxStateSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stateName, err)
	}
	if len(data) > MaxStateSize {
		return nil, fmt.Errorf(stateName+": larger than %d bytes", MaxStateSize)
	}
	// By the scanner rather than by reflection: this is read at every start of a
	// container, and mostly to find that there is nothing to do.
	d, err := parseDocument(data, stateName)
	if err != nil {
		return nil, err
	}
	s, err := d.state()
	if err != nil {
		return nil, err
	}
	if err := checkState(s); err != nil {
		return nil, fmt.Errorf("%s: %w", stateName, err)
	}
	return s, nil
}

// stateName stands for the state in messages: it comes by a pipe.
const stateName = "container state"

// state takes the document for a container's state.
func (d *Document) state() (*specs.State, error) {
	members, _ := d.items(skipSpace(d.data, 0))
	var s specs.State
	var status string
	for _, f := range []struct {
		key string
		to  *string
	}{{"ociVersion", &s.Version}, {"id", &s.ID}, {"status", &status}, {"bundle", &s.Bundle}} {
		v, err := d.text(members, []string{f.key})
		if err != nil {
			return nil, err
		}
		*f.to = v
	}
	s.Status = specs.ContainerState(status)
	i, err := d.lookup(members, []string{"pid"})
	if err != nil {
		return nil, err
	}
	if i >= 0 {
		if err := d.decode(members[i], &s.Pid, "pid"); err != nil {
			return nil, err
		}
	}
	s.Annotations, err = d.Annotations()
	return &s, err
}

func checkState(s *specs.State) error {
	switch {
	case s.ID == "":
		return errors.New("missing required property: id")
	case strings.Contains(s.ID, "/") || s.ID == "." || s.ID == "..":
		// The id is a directory name to runtimes, and so to who looks there.
		return fmt.Errorf("id %q is no file name", brief(s.ID))
	case s.Status == specs.StateStopped:
		return nil
	case s.Pid == 0:
		return errors.New("missing required property: pid")
	case s.Pid < 0:
		return fmt.Errorf("pid %d is below zero", s.Pid)
	}
	return nil
}

// StateAnnotations returns the annotations of a container: those in its state,
// or when it has none there, those of config.json in its bundle.
func StateAnnotations(s *specs.State) (map[string]string, error) {
	if len(s.Annotations) > 0 {
		return s.Annotations, nil
	}
	if s.Bundle == "" {
		return nil, errors.New(stateName + ": missing required property: bundle")
	}
	d, err := ReadFile(s.Bundle, "config.json")
	if err != nil {
		return nil, err
	}
	return d.Annotations()
}
