package saved

import (
	"reflect"
	"testing"
	"time"

	"oci-timens/timens"
)

// FuzzRecord: what is read of a record is what a record that is written of it says, and
// whoever goes on from it on another boot sees no clock behind what was kept.
func FuzzRecord(f *testing.F) {
	const head = "oci-timens saved 1\nsnapshot v1:monotonic=1.5:boottime=2:realtime=3:host-boottime=4:boot-id=" + thisBoot
	f.Add(head+"\noffset monotonic 3600 0\noffset boottime -1 500000000\nended \"a\"\nend\n", uint32(5))
	f.Add(head+":interval=10\noffset boottime 0 0\noffset monotonic 0 1\nuser 4711 1234567 \"\\x00\\\"\"\nuser 1 2 `a`\nend\n", uint32(1e9))
	f.Fuzz(func(t *testing.T, text string, n uint32) {
		r, err := parse(text)
		if err != nil {
			return
		}
		if out := r.String(); len(out) <= maxText {
			if again, err := parse(out); err != nil || !reflect.DeepEqual(r, again) {
				t.Errorf("%q\nis %+v, and as\n%q\n%+v, %v", text, r, out, again, err)
			}
		}
		_, _ = r.at(at(time.Duration(n)))
		h := later(time.Duration(n))
		s, err := r.at(h)
		if err != nil {
			return
		}
		for _, c := range timens.AllClocks() {
			o, err := timens.ResumeSetting(s).Resolve(c, h)
			if err != nil {
				continue
			}
			v, err := o.Add(timens.OffsetOf(h.Clocks.Get(c)))
			if err != nil || r.snapshot.Wall.BootID != nextBoot && v.Compare(timens.OffsetOf(r.snapshot.Clocks.Get(c))) < 0 {
				t.Errorf("%q\non %+v the %v clock reads %v, %v", text, h, c, v, err)
			}
		}
	})
}
