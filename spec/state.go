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
		return nil, fmt.Errorf("container state: %w", err)
	}
	if len(data) > MaxStateSize {
		return nil, fmt.Errorf("container state: larger than %d bytes", MaxStateSize)
	}
	d, err := parseDocument(data, "container state")
	if err != nil {
		return nil, err
	}
	// Before the rest, because it names the annotation that is no string.
	annotations, err := d.Annotations()
	if err != nil {
		return nil, err
	}
	var s specs.State
	if err = decode(data, &s, ""); err == nil {
		err = checkState(&s)
	}
	if err != nil {
		return nil, fmt.Errorf("container state: %w", err)
	}
	s.Annotations = annotations
	return &s, nil
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
		return nil, errors.New("container state: missing required property: bundle")
	}
	d, err := ReadFile(s.Bundle, "config.json")
	if err != nil {
		return nil, err
	}
	return d.Annotations()
}
