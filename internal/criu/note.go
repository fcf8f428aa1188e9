package criu

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"oci-timens/timens"
)

// NoteName is a file in the bundle of a container that was restored.
const NoteName = "oci-timens-restored.json"

// Note tells how the clocks of a restored container went on, for who asks later: the
// images may be gone by then, or be of a later checkpoint.
type Note struct {
	Images string        // their directory
	Gap    time.Duration // for which the container was stopped
	Before timens.Offsets
	After  timens.Offsets
	// At is what this host's boottime clock read at the restore, and BootID whose boot
	// that was: a bundle can be used again for a container that is not restored.
	At     time.Duration
	BootID string
}

// noteText is the form of the file, with durations as time.ParseDuration takes them.
type noteText struct {
	Version int    `json:"version"`
	Images  string `json:"images"`
	Gap     string `json:"gap"`
	Before  pair   `json:"offsetsBefore"`
	After   pair   `json:"offsetsAfter"`
	At      string `json:"hostBoottime"`
	BootID  string `json:"bootID"`
}

// longestRestore is how long after the note was written the restored init is started at
// the latest. Clocks of processes are rounded down.
const longestRestore = time.Minute

// IsOf reports whether the note is of the container whose init was started when the
// boottime clock of the initial time namespace read started.
func (n Note) IsOf(started time.Duration, bootID string) bool {
	return n.BootID == bootID && started > n.At-time.Second && started < n.At+longestRestore
}

// Note makes the note of a restore from these images on h, which has its Wall set.
func (s Sidecar) Note(images string, r Restored, h timens.Host) Note {
	return Note{images, r.Gap, s.Offsets, r.Offsets, h.Wall.Boottime, h.Wall.BootID}
}

// Write puts the note into a bundle, in place of an older one.
func (n Note) Write(bundle string) error {
	images, err := filepath.Abs(n.Images)
	if err != nil {
		return err
	}
	out, err := json.MarshalIndent(noteText{sidecarVersion, images, n.Gap.String(), pair(n.Before), pair(n.After), n.At.String(), n.BootID}, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(bundle, NoteName), append(out, '\n'))
}

// ReadNote reads the note in a bundle. Where there is none the error matches
// fs.ErrNotExist.
func ReadNote(bundle string) (n Note, err error) {
	path := filepath.Join(bundle, NoteName)
	data, err := readRegular(path, maxSidecar)
	if err != nil {
		return n, err
	}
	var t noteText
	if err = json.Unmarshal(data, &t); err == nil && t.Version != sidecarVersion {
		err = fmt.Errorf("its version is %d, and this program knows %d", t.Version, sidecarVersion)
	}
	n = Note{Images: t.Images, Before: timens.Offsets(t.Before), After: timens.Offsets(t.After), BootID: t.BootID}
	if err == nil {
		n.Gap, err = time.ParseDuration(t.Gap)
	}
	if err == nil {
		n.At, err = time.ParseDuration(t.At)
	}
	if err != nil {
		return Note{}, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}
