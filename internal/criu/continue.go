package criu

import (
	"fmt"
	"time"

	"oci-timens/timens"
)

// longestDump is how long CRIU may take from the start of the shim to the moment at which
// it reads the clocks: it has stopped the container and written its memory by then.
const longestDump = time.Hour

// minGap is what passes at least on the way to another host. CRIU reads the two clocks one
// after the other, and may be interrupted between: without a gap CLOCK_BOOTTIME could end
// behind where it was to CLOCK_MONOTONIC.
const minGap = 10 * time.Millisecond

// Restored is how a container goes on.
type Restored struct {
	Offsets timens.Offsets
	Gap     time.Duration // for which it was stopped, as far as that can be told
	Stepped bool          // the wall clock is behind that of the checkpoint
}

// Pick returns the image of the checkpoint that the sidecar is of.
func (s Sidecar) Pick(images []Image) (picked Image, err error) {
	var found []Image
	for _, i := range images {
		if _, e := s.dumped(i.Clocks); e != nil {
			err = e
			continue
		}
		found = append(found, i)
	}
	switch len(found) {
	case 0:
		return picked, err
	case 1:
		return found[0], nil
	}
	return picked, fmt.Errorf("it may be of both %s and %s: use a new image directory for each checkpoint", found[0].Name, found[1].Name)
}

// Continue tells the offsets with which a container goes on that was dumped with this
// image: as if the whole system had been suspended meanwhile, CLOCK_MONOTONIC has stood
// still, and CLOCK_BOOTTIME has not. h has its Wall set. It fails where the sidecar is not
// of this checkpoint.
func (s Sidecar) Continue(image timens.Clocks, h timens.Host) (r Restored, err error) {
	at, err := s.dumped(image)
	if err != nil {
		return r, err
	}
	if r.Gap, r.Stepped, err = at.Gap(h); err != nil {
		return r, err
	}
	for _, c := range timens.AllClocks() {
		o, err := timens.ResumeSetting(at).Resolve(c, h)
		if err != nil {
			return r, err
		}
		r.Offsets = r.Offsets.With(c, o)
	}
	if at.Wall.BootID != h.Wall.BootID && r.Gap < minGap {
		o, err := r.Offsets.Boottime.Add(timens.OffsetOf(minGap - r.Gap))
		if err != nil {
			return r, err
		}
		r.Offsets.Boottime = o
	}
	return r, nil
}

// dumped returns the snapshot of the moment at which CRIU read the clocks. They go as fast
// as those of the host, so that what they have advanced since the sidecar was written tells
// how much later that was.
func (s Sidecar) dumped(image timens.Clocks) (timens.Snapshot, error) {
	at := s.Snapshot
	mono, boot := image.Monotonic-at.Clocks.Monotonic, image.Boottime-at.Clocks.Boottime
	switch {
	case mono < 0 || boot < 0:
		return at, fmt.Errorf("it was written after the dump, by %v: it is of another checkpoint", -min(mono, boot))
	case mono > longestDump || boot > longestDump:
		return at, fmt.Errorf("it was written %v before the dump: it is of another checkpoint", max(mono, boot))
	}
	at.Clocks = image
	at.Wall.Realtime += boot
	at.Wall.Boottime += boot
	return at, nil
}
