package pod

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"oci-timens/timens"
)

// TestKeepRestored has the containers of a pod get what the first has.
func TestKeepRestored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "oci-timens")
	open := func(r record) (*state, error) { return openIn([]string{dir}, r, os.Mkdir) }
	of := func(n int64) timens.Offsets { return timens.Offsets{Monotonic: offset(-n, 1), Boottime: offset(n, 0)} }
	for i, tt := range []struct {
		r         record
		own, want int64
	}{
		{record{id: "a"}, 5, 5}, {record{id: "a"}, 6, 5}, {record{id: "b"}, 7, 7}, {record{id: "a"}, 8, 5},
	} {
		if got, err := keepRestored(tt.r, of(tt.own), open); got != of(tt.want) || err != nil {
			t.Errorf("%d: %v, %v", i, got, err)
		}
	}
}

func TestNotLower(t *testing.T) {
	h := timens.Host{Clocks: timens.Clocks{Monotonic: 100 * time.Second, Boottime: 200 * time.Second}}
	o := timens.Offsets{Monotonic: offset(5, 0), Boottime: offset(-5, 0)}
	was := timens.Clocks{Monotonic: 105 * time.Second, Boottime: 195 * time.Second}
	if err := notLower("p", o, was, h); err != nil {
		t.Error(err)
	}
	was.Boottime += 90 * time.Second
	const want = "the containers of pod p share their clocks, and there CLOCK_BOOTTIME is 1m30s behind what it read in this one when it was checkpointed: restore that first whose clocks are ahead of the others', in a new pod"
	if err := notLower("p", o, was, h); err == nil || err.Error() != want {
		t.Error(err)
	}
}
