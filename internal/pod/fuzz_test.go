package pod

import (
	"maps"
	"testing"
)

// FuzzRecord: what is read of a pod's record is what a record that is written of it says,
// and a record is known by its name.
func FuzzRecord(f *testing.F) {
	f.Add("oci-timens pod 1\nboottime =0 -345600 500000000\nmonotonic =1h 3600 0\nend\n", "0123abc", 4711, uint64(123456))
	f.Add("oci-timens pod 1\nboottime v1:monotonic=1:boottime=2:realtime=3:host-boottime=4:boot-id=00000000-1111-2222-3333-444444444444 5 0\nend\n", "a.b.1.2", 1, uint64(0))
	f.Add("oci-timens pod 1\nend\n", "..", -1, uint64(1<<63))
	f.Fuzz(func(t *testing.T, text, id string, pid int, start uint64) {
		if kept, err := parse(text); err == nil {
			out := format(kept)
			again, err := parse(out)
			if len(out) <= maxText && (err != nil || !maps.Equal(kept, again)) {
				t.Errorf("%q\nis %v, and as\n%q\n%v, %v", text, kept, out, again, err)
			}
		}
		r := record{id, pid, start}
		if got, ok := parseName(r.name()); pid > 0 && (got != r || !ok) {
			t.Errorf("%q is read as %+v, %v", r.name(), got, ok)
		}
		if got, ok := parseName(id); ok && (got.pid <= 0 || got.name() == "") {
			t.Errorf("%q is read as %+v", id, got)
		}
	})
}
