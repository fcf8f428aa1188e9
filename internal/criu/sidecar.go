package criu

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"oci-timens/timens"
)

// SidecarName is the file that is kept beside CRIU's in an image directory, and travels
// with them.
const SidecarName = "oci-timens.json"

const (
	sidecarVersion = 1
	maxSidecar     = 4096
)

// Sidecar is what is known of a container just before it is dumped. As the image of CRIU
// has what its clocks read at the dump itself, both together tell when that was.
type Sidecar struct {
	ID       string         // of the container, for who looks at the file
	Offsets  timens.Offsets // of its time namespace
	Snapshot timens.Snapshot
}

// text is the form of the file. Offsets and the snapshot are as an annotation takes them.
type text struct {
	Version  int    `json:"version"`
	ID       string `json:"id"`
	Offsets  pair   `json:"offsets"`
	Snapshot string `json:"snapshot"`
}

type pair struct {
	Monotonic timens.Offset `json:"monotonic"`
	Boottime  timens.Offset `json:"boottime"`
}

// Take makes the Sidecar of a running container whose time namespace has these offsets.
func Take(id string, o timens.Offsets, h timens.Host) (Sidecar, error) {
	s, err := timens.TakeSnapshot(o, h)
	return Sidecar{id, o, s}, err
}

// Write puts the sidecar into an image directory, in place of an older one, whole or not at all.
// It makes the directory, with the folders above it, as runc does.
func (s Sidecar) Write(dir string) error {
	out, err := json.MarshalIndent(text{sidecarVersion, s.ID, pair(s.Offsets), s.Snapshot.String()}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return replace(filepath.Join(dir, SidecarName), append(out, '\n'))
}

// replace writes a file in place of an older one, which is of no use any more: it goes
// first. To rename over a file has ext4 write the new one to the disk at once
// (auto_da_alloc, Documentation/admin-guide/ext4.rst), and CRIU wait for that.
func replace(path string, text []byte) error {
	dir, name := filepath.Split(path)
	f, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Remove(path)
	}
	if err == nil || missing(err) {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Remove takes the sidecar of an earlier checkpoint away.
func Remove(dir string) error {
	err := os.Remove(filepath.Join(dir, SidecarName))
	if missing(err) {
		return nil
	}
	return err
}

// ReadSidecar reads the sidecar in an image directory. Where there is none the error
// matches fs.ErrNotExist.
func ReadSidecar(dir string) (Sidecar, error) {
	path := filepath.Join(dir, SidecarName)
	data, err := readRegular(path, maxSidecar)
	if err != nil {
		return Sidecar{}, err
	}
	s, err := parseSidecar(data)
	if err != nil {
		return Sidecar{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// readRegular reads the beginning of a file, and one byte more than most where it is longer.
// Images come from elsewhere: what may be in the file's place must not be waited for, as
// for who writes to a FIFO, nor lead elsewhere.
func readRegular(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is no regular file")})
	}
	return io.ReadAll(io.LimitReader(f, most+1))
}

func parseSidecar(data []byte) (s Sidecar, err error) {
	if len(data) > maxSidecar {
		return s, fmt.Errorf("it is longer than %d bytes", maxSidecar)
	}
	var t text
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&t); err != nil {
		return s, fmt.Errorf("it is no sidecar of a checkpoint, or not a whole one: %w", err)
	}
	if t.Version != sidecarVersion {
		return s, fmt.Errorf("its version is %d, and this program knows %d: use a later one", t.Version, sidecarVersion)
	}
	s = Sidecar{ID: t.ID, Offsets: timens.Offsets(t.Offsets)}
	if s.Snapshot, err = timens.ParseSnapshot(t.Snapshot); err != nil {
		return s, fmt.Errorf("its snapshot %w", err)
	}
	return s, nil
}
