package criu

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"oci-timens/timens"
)

// FuzzDecodeImage compares with what protobuf's own package finds in the message. That of
// a message in two parts is refused, where others join them: CRIU writes none.
func FuzzDecodeImage(f *testing.F) {
	f.Add(timespec(timespec(nil, 1, 24666, 657138823), 2, 300, 1))
	f.Add(timespec(timespec(timespec(nil, 2, 1, 2), 1, 1<<40, 3), 2, 3, 999999999))
	f.Add(append([]byte{9 << 3, 1, 8<<3 | wireFixed64, 1, 2, 3, 4, 5, 6, 7, 8}, timespec(nil, 1, 0, 0)...))
	f.Fuzz(func(t *testing.T, message []byte) {
		c, err := decodeImage(image(message))
		if err != nil {
			return
		}
		for number, got := range map[protowire.Number]time.Duration{1: c.Monotonic, 2: c.Boottime} {
			clock, ok := last(message, number, protowire.BytesType)
			secs, ok1 := last(clock, 1, protowire.VarintType)
			nanos, ok2 := last(clock, 2, protowire.VarintType)
			if !ok || !ok1 || !ok2 {
				t.Fatalf("%x: accepted, and field %d is not there", message, number)
			}
			s, _ := protowire.ConsumeVarint(secs)
			n, _ := protowire.ConsumeVarint(nanos)
			if got < 0 || uint64(got/time.Second) != s || uint64(got%time.Second) != n {
				t.Errorf("%x: field %d is %v, want %d s and %d ns", message, number, got, s, n)
			}
		}
		if again, err := decodeImage(encodeImage(c)); again != c || err != nil {
			t.Errorf("%+v is written as %+v, %v", c, again, err)
		}
	})
}

// last returns the value of the last field of a number and type.
func last(message []byte, number protowire.Number, typ protowire.Type) (value []byte, ok bool) {
	for len(message) > 0 {
		n, t, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, false
		}
		length := protowire.ConsumeFieldValue(n, t, message[size:])
		if length < 0 {
			return nil, false
		}
		if value := message[size : size+length]; n == number && t == typ {
			if t == protowire.BytesType {
				value, _ = protowire.ConsumeBytes(value)
			}
			return lastOr(value, message[size+length:], number, typ)
		}
		message = message[size+length:]
	}
	return nil, false
}

func lastOr(value, rest []byte, number protowire.Number, typ protowire.Type) ([]byte, bool) {
	if later, ok := last(rest, number, typ); ok {
		return later, true
	}
	return value, true
}

// FuzzSidecar: what is read is what is written of it.
func FuzzSidecar(f *testing.F) {
	f.Add([]byte(`{"version":1,"id":"c1","offsets":{"monotonic":"+1h","boottime":"-2.5s"},"snapshot":"v1:monotonic=1:boottime=2:realtime=3:host-boottime=4:boot-id=`+bootA+`"}`), int64(time.Hour))
	f.Add([]byte(`{"version":1}x`), int64(0))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, n int64) {
		s, err := parseSidecar(data)
		if err != nil {
			return
		}
		for _, id := range []string{s.Snapshot.Wall.BootID, bootB} {
			h := host(id, n%1e9, n%1e9)
			i, err := s.Pick([]Image{{"a", s.Snapshot.Clocks}, {"b", timens.Clocks{Monotonic: time.Duration(n), Boottime: time.Duration(n)}}})
			if r, err2 := s.Continue(i.Clocks, h); err == nil && err2 == nil && r.Gap < 0 {
				t.Errorf("%s: goes on as %+v", data, r)
			}
		}
		if err := s.Write(dir); err != nil {
			t.Fatal(err)
		}
		again, err := ReadSidecar(dir)
		if err != nil && s.ID == "" || err == nil && again.Snapshot == s.Snapshot && again.Offsets == s.Offsets {
			return
		}
		if info, err := os.Stat(filepath.Join(dir, SidecarName)); err == nil && info.Size() <= maxSidecar {
			t.Errorf("%s is %+v, and read again %+v, %v", data, s, again, err)
		}
	})
}

// FuzzNote: whatever lies in a bundle is read or refused, and what is read is what is
// written of it.
func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"version":1,"images":"/i","gap":"1m0s","offsetsBefore":{"monotonic":"+1h"},"offsetsAfter":{"boottime":"-2.5s"},"hostBoottime":"1h0m0.5s","bootID":"` + bootA + `"}`))
	f.Add([]byte(`{"version":1,"gap":"-1ns","hostBoottime":"0"}`))
	dir := f.TempDir()
	path := filepath.Join(dir, NoteName)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := ReadNote(dir)
		if err != nil {
			if n != (Note{}) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v, and %+v", data, err, n)
			}
			return
		}
		if err := n.Write(dir); err != nil {
			t.Fatal(err)
		}
		again, err := ReadNote(dir)
		if n.Images = again.Images; again != n && len(data) < maxSidecar/8 {
			t.Errorf("%s is %+v, and read again %+v, %v", data, n, again, err)
		}
	})
}
