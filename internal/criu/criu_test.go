package criu

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oci-timens/timens"
)

// timespec is a field of CRIU's message.
func timespec(message []byte, number byte, secs, nanos uint64) []byte {
	spec := binary.AppendUvarint([]byte{1 << 3}, secs)
	spec = binary.AppendUvarint(append(spec, 2<<3), nanos)
	return append(append(message, number<<3|wireBytes, byte(len(spec))), spec...)
}

func image(message []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, commonMagic)
	out = binary.LittleEndian.AppendUint32(out, timensMagic)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(message)))
	return append(out, message...)
}

func TestDecodeImage(t *testing.T) {
	whole := timespec(timespec(nil, 1, 24666, 657138823), 2, 300, 1)
	want := timens.Clocks{Monotonic: 24666657138823, Boottime: 300000000001}
	later := append([]byte{9 << 3, 1, 8<<3 | wireFixed64, 1, 2, 3, 4, 5, 6, 7, 8, 7<<3 | wireFixed32, 1, 2, 3, 4}, whole...)
	for name, text := range map[string][]byte{"as CRIU writes it": image(whole), "our own": encodeImage(want), "with fields of later": image(later)} {
		if got, err := decodeImage(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	short := image(whole)
	for text, want := range map[string]string{
		"":                                         "it is no image of a time namespace",
		strings.Repeat("x", 40):                    "it is no image of a time namespace",
		string(short[:len(short)-1]):               "its message has ",
		string(image(nil)):                         "its message lacks field 1",
		string(image(timespec(nil, 1, 1, 1))):      "its message lacks field 2",
		string(image([]byte{0x0a, 5})):             "its message is damaged",
		string(image([]byte{0x80})):                "its message is damaged",
		string(image([]byte{0x0b, 0})):             "its message is damaged",
		string(image([]byte{0x00, 0})):             "its message is damaged",
		string(image([]byte{0x08, 0x80})):          "its message is damaged",
		string(image(timespec(nil, 1, 1, 1e9))):    "a clock that reads 1 s and 1000000000 ns",
		string(image(timespec(nil, 1, 1<<40, 1))):  "a clock that reads 1099511627776 s and 1 ns",
		string(image(timespec(nil, 1, 1<<63, 0))):  "a clock that reads 9223372036854775808 s",
		string(image([]byte{0x0a, 2, 0x10, 0x05})): "its message lacks field 1",
	} {
		if c, err := decodeImage([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", text, c, err, want)
		}
	}
}

func TestReadImages(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadImages(dir); !errors.Is(err, ErrNoImage) {
		t.Error(err)
	}
	if _, err := ReadImages(dir + "/no"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	want := []Image{{"timens-0.img", timens.Clocks{Monotonic: 5*time.Second + 6}}, {"timens-12.img", dump}}
	for _, i := range want {
		write(t, dir, i.Name, encodeImage(i.Clocks))
	}
	got, err := ReadImages(dir)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v, %s", err, d)
	}
	// The first is older than the sidecar.
	if i, err := taken(t).Pick(got); i != want[1] || err != nil {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := taken(t).Pick(got[:1]); err == nil || !strings.HasPrefix(err.Error(), "it was written after the dump, by ") {
		t.Error(err)
	}
	if _, err := taken(t).Pick([]Image{{"a", dump}, {"b", dump}}); err == nil || err.Error() != "it may be of both a and b: use a new image directory for each checkpoint" {
		t.Error(err)
	}
	write(t, dir, "timens-1.img", nil)
	if _, err := ReadImages(dir); err == nil || err.Error() != dir+"/timens-1.img: it is no image of a time namespace" {
		t.Error(err)
	}
}

func write(t *testing.T, dir, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

const bootA, bootB = "41cd79eb-7c8a-4755-b700-559a2a5f6622", "51cd79eb-7c8a-4755-b700-559a2a5f6622"

// host is one that has been up for so many seconds, at a time of the world.
func host(boot string, up, realtime int64) timens.Host {
	d := time.Duration(up) * time.Second
	return timens.Host{
		Clocks: timens.Clocks{Monotonic: d - time.Second, Boottime: d}, // it has slept for a second
		Wall:   timens.Wall{Realtime: time.Duration(realtime) * time.Second, BootID: boot, Boottime: d},
	}
}

func offsets(mono, boot int64) timens.Offsets {
	return timens.Offsets{
		Monotonic: timens.OffsetOf(time.Duration(mono) * time.Second),
		Boottime:  timens.OffsetOf(time.Duration(boot) * time.Second),
	}
}

// taken is the sidecar of a container that was an hour ahead, at second 1000 of a host.
func taken(t *testing.T) Sidecar {
	t.Helper()
	s, err := Take("c1", offsets(3600, 7200), host(bootA, 1000, 5000))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSidecar(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := taken(t)
	for range 2 { // also over an older one
		if err := s.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadSidecar(dir)
	if got != s || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, SidecarName))
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "version": 1,
  "id": "c1",
  "offsets": {
    "monotonic": "+1h",
    "boottime": "+2h"
  },
  "snapshot": "v1:monotonic=4599:boottime=8200:realtime=5000:host-boottime=1000:boot-id=` + bootA + `"
}
`
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]string{
		"":                                     "it is no sidecar of a checkpoint, or not a whole one: EOF",
		want[:90]:                              "it is no sidecar of a checkpoint, or not a whole one: unexpected EOF",
		"{}":                                   "its version is 0, and this program knows 1",
		`{"version":2}`:                        "its version is 2, and this program knows 1: use a later one",
		`{"version":1}`:                        `its snapshot "": no snapshot of clocks`,
		`{"offsets":{"monotonic":"1x"}}`:       `not a whole one: "1x"`,
		strings.Repeat(" ", maxSidecar) + `{}`: "it is longer than 4096 bytes",
		strings.Replace(want, "4599", "-1", 1): `position 14`,
	} {
		write(t, dir, SidecarName, []byte(text))
		if _, err := ReadSidecar(dir); err == nil || !strings.HasPrefix(err.Error(), dir+"/oci-timens.json: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := errors.Join(Remove(dir), Remove(dir), Remove(dir+"/no")); err != nil {
		t.Error(err)
	}
	if _, err := ReadSidecar(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(dir, SidecarName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSidecar(dir); err == nil || !strings.Contains(err.Error(), "it is no regular file") {
		t.Error(err)
	}
	if e, _ := os.ReadDir(dir); len(e) != 1 {
		t.Errorf("left: %v", e)
	}
}

// The dump was at second 1002 of the host, and CRIU read CLOCK_BOOTTIME 5 ms late.
var dump = timens.Clocks{Monotonic: 4601 * time.Second, Boottime: 8202*time.Second + 5*time.Millisecond}

func TestContinue(t *testing.T) {
	ms := time.Millisecond
	for name, tt := range map[string]struct {
		h          timens.Host
		mono, boot time.Duration // inside, at the restore
		gap        time.Duration
		stepped    bool
	}{
		"the same boot":             {host(bootA, 1062, 1), 4601 * time.Second, 8262 * time.Second, 60*time.Second - 5*ms, false},
		"a younger host":            {host(bootB, 10, 5062), 4601 * time.Second, 8262 * time.Second, 60*time.Second - 5*ms, false},
		"an older host":             {host(bootB, 1e6, 5062), 4601 * time.Second, 8262 * time.Second, 60*time.Second - 5*ms, false},
		"a wall clock behind":       {host(bootB, 10, 4000), 4601 * time.Second, dump.Boottime + minGap, 0, true},
		"a wall clock that is even": {host(bootB, 10, 5002), 4601 * time.Second, dump.Boottime + minGap, 0, true},
	} {
		r, err := taken(t).Continue(dump, tt.h)
		if err != nil || r.Gap != tt.gap || r.Stepped != tt.stepped {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		for _, c := range timens.AllClocks() {
			reads, err := r.Offsets.Get(c).Add(timens.OffsetOf(tt.h.Clocks.Get(c)))
			want := timens.Clocks{Monotonic: tt.mono, Boottime: tt.boot}.Get(c)
			if err != nil || reads != timens.OffsetOf(want) {
				t.Errorf("%s: %v reads %v, want %v", name, c, reads, want)
			}
		}
	}
	same, err := taken(t).Continue(dump, host(bootA, 1062, 1))
	if err != nil || same.Offsets.Boottime != offsets(3600, 7200).Boottime {
		t.Errorf("on the same boot CLOCK_BOOTTIME is not what it would be: %v, %v", same.Offsets, err)
	}
}

// A sidecar that is of another checkpoint, or edited by hand.
func TestContinueRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		image timens.Clocks
		h     timens.Host
		want  string
	}{
		"of a later one":   {timens.Clocks{Monotonic: 4598 * time.Second, Boottime: 8199 * time.Second}, host(bootA, 1062, 1), "it was written after the dump, by 1s: it is of another checkpoint"},
		"of an earlier":    {timens.Clocks{Monotonic: 4601 * time.Second, Boottime: 12202 * time.Second}, host(bootA, 9000, 1), "it was written 1h6m42s before the dump: it is of another checkpoint"},
		"from what is yet": {dump, host(bootA, 1001, 1), "it is up for only 16m41s: it has been edited"},
	} {
		if r, err := taken(t).Continue(tt.image, tt.h); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestSplit(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "own.conf", []byte("tcp-close"))
	for name, want := range map[string]string{"own.conf": "tcp-close\n", "no": ""} {
		options, rest, err := split([]string{"A=1", "CRIU_CONFIG_FILE=" + dir + "/" + name, "B=2"})
		if string(options) != want || strings.Join(rest, " ") != "A=1 B=2" || err != nil {
			t.Errorf("%s: %q, %q, %v", name, options, rest, err)
		}
	}
	if _, _, err := split([]string{"CRIU_CONFIG_FILE=" + dir}); err == nil || !strings.HasPrefix(err.Error(), "CRIU_CONFIG_FILE in the environment: ") {
		t.Error(err)
	}
}
