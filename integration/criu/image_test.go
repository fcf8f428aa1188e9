package criu

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/checkpoint-restore/go-criu/v8/crit/images/timens"
	"github.com/checkpoint-restore/go-criu/v8/magic"
	"google.golang.org/protobuf/proto"

	"oci-timens/internal/criu"
)

// TestImage reads an image that CRIU has written by CRIU's own definitions.
func TestImage(t *testing.T) {
	s := newStand(t)
	c := s.newContainer(runtimes[0], nil, "", "")
	c.start()
	defer c.kill()
	c.must(c.checkpoint())
	images, err := criu.ReadImages(c.Path(c.images()))
	if err != nil || len(images) != 1 {
		t.Fatalf("%+v, %v", images, err)
	}
	text, err := os.ReadFile(c.Path(filepath.Join(c.images(), images[0].Name)))
	if err != nil {
		t.Fatal(err)
	}
	kinds := magic.LoadMagic().ByValue
	for i, want := range []string{"IMG_COMMON", "TIMENS"} {
		if kind := kinds[uint64(binary.LittleEndian.Uint32(text[4*i:]))]; kind != want {
			t.Errorf("word %d of the image is %q, want %q", i, kind, want)
		}
	}
	e := &timens.TimensEntry{}
	if err := proto.Unmarshal(text[12:], e); err != nil {
		t.Fatal(err)
	}
	read := func(ts *timens.Timespec) time.Duration {
		return time.Duration(ts.GetTvSec())*time.Second + time.Duration(ts.GetTvNsec())
	}
	if got := images[0].Clocks; got.Monotonic != read(e.GetMonotonic()) || got.Boottime != read(e.GetBoottime()) || got.Boottime == 0 {
		t.Errorf("%+v, by CRIU's definitions %v", got, e)
	}
}
