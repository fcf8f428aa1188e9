package timens

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzParseSetting compares with a reading of its own, in fractions of any size. What
// is accepted prints in a form that reads back as the same value.
func FuzzParseSetting(f *testing.F) {
	for _, s := range []string{"+36h", "-1d2h3.5s", "=0", "=49d17h2m47.295s", "90061.000000042", "1.5d", "0.5ns", "-9223372036854775808", "1h2h", "=-5", "１d",
		"9223372036854775807.999999999", "-9223372036854775808.000000001", "1m1ms1us1ns", "0.0000000000000000000s", "18446744073709551616ns"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseSetting(in)
		want, ok := readSetting(in)
		if ok != (err == nil) || ok && s != want {
			t.Fatalf("%q: %#v, %v; want %#v, %v", in, s, err, want, ok)
		}
		if err != nil {
			if !s.IsZero() {
				t.Errorf("%q: %v, and a value %v", in, err, s)
			}
			return
		}
		if again, err := ParseSetting(s.String()); again != s || err != nil {
			t.Errorf("%q is %#v and prints as %q, which reads as %#v, %v", in, s, s, again, err)
		}
	})
}

var numberForm = regexp.MustCompile(`^([0-9]+)(\.[0-9]+)?(d|h|ms|m|s|us|ns|)`)

var nanosOf = map[string]int64{"d": 86400e9, "h": 3600e9, "m": 60e9, "s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1, "": 1e9}

// readSetting is what a setting means, by another way to read it.
func readSetting(in string) (s Setting, ok bool) {
	rest, reads := strings.CutPrefix(in, "=")
	negative := false
	if !reads {
		if rest, negative = strings.CutPrefix(in, "-"); !negative {
			rest = strings.TrimPrefix(in, "+")
		}
	}
	alone, ended, last := true, false, int64(math.MaxInt64)
	sum := new(big.Rat)
	for len(rest) > 0 {
		m := numberForm.FindStringSubmatch(rest)
		if m == nil || ended || nanosOf[m[3]] >= last || m[3] == "" && (!alone || len(m[0]) != len(rest)) {
			return s, false
		}
		if n, _ := new(big.Int).SetString(m[1], 10); !n.IsUint64() {
			return s, false
		}
		v, _ := new(big.Rat).SetString(m[1] + m[2])
		sum.Add(sum, v.Mul(v, new(big.Rat).SetInt64(nanosOf[m[3]])))
		alone, ended, last = false, m[2] != "" && strings.Trim(m[2], ".0") != "" || ended, nanosOf[m[3]]
		rest = rest[len(m[0]):]
	}
	if alone || !sum.IsInt() {
		return s, false
	}
	if negative {
		sum.Neg(sum)
	}
	o, ok := offsetOf(sum.Num())
	if reads {
		return ReadsSetting(o), ok
	}
	return OffsetSetting(o), ok
}

// offsetOf is an offset of nanoseconds, if it fits.
func offsetOf(nanos *big.Int) (Offset, bool) {
	secs, rest := new(big.Int).DivMod(nanos, big.NewInt(nanosPerSecond), new(big.Int))
	if !secs.IsInt64() {
		return Offset{}, false
	}
	return Offset{secs.Int64(), uint32(rest.Int64())}, true
}

func (o Offset) big() *big.Int {
	v := new(big.Int).Mul(big.NewInt(o.secs), big.NewInt(nanosPerSecond))
	return v.Add(v, big.NewInt(int64(o.nanos)))
}

// FuzzOffset compares the arithmetic with that of numbers of any size.
func FuzzOffset(f *testing.F) {
	f.Add(int64(1), int64(999999999), int64(-1), int64(1))
	f.Add(int64(math.MinInt64), int64(0), int64(math.MaxInt64), int64(999999999))
	f.Fuzz(func(t *testing.T, s1, n1, s2, n2 int64) {
		a, err := NewOffset(s1, n1)
		if in := n1 >= 0 && n1 < nanosPerSecond; in != (err == nil) {
			t.Fatalf("NewOffset(%d, %d): %v", s1, n1, err)
		}
		b, err2 := NewOffset(s2, n2)
		if err != nil || err2 != nil {
			return
		}
		check := func(what string, got Offset, err error, exact *big.Int) {
			if want, ok := offsetOf(exact); ok != (err == nil) || ok && got != want {
				t.Errorf("%s of %v and %v: %v, %v; want %v, %v", what, a, b, got, err, want, ok)
			}
		}
		sum, err := a.Add(b)
		check("sum", sum, err, new(big.Int).Add(a.big(), b.big()))
		difference, err := a.Sub(b)
		check("difference", difference, err, new(big.Int).Sub(a.big(), b.big()))
		opposite, err := a.Neg()
		check("opposite", opposite, err, new(big.Int).Neg(a.big()))
		if a.Compare(b) != a.big().Cmp(b.big()) {
			t.Errorf("%v and %v: %d", a, b, a.Compare(b))
		}
		if d, err := a.Duration(); a.big().IsInt64() != (err == nil) || err == nil && OffsetOf(d) != a {
			t.Errorf("%v as a duration: %v, %v", a, d, err)
		}
		if again, err := ParseOffset(a.String()); again != a || err != nil {
			t.Errorf("%v reads as %v, %v", a, again, err)
		}
	})
}

// FuzzParseSnapshot: the order of fields does not matter, and no clock that goes on from
// what is accepted goes backward, on this host or another.
func FuzzParseSnapshot(f *testing.F) {
	f.Add(text, int64(time.Hour), int64(2*time.Hour), int64(math.MaxInt64))
	f.Add(text+":interval=10.000000001", int64(0), int64(1), int64(0))
	f.Fuzz(func(t *testing.T, in string, mono, boot, real int64) {
		s, err := ParseSnapshot(in)
		fields := strings.Split(strings.TrimPrefix(in, SnapshotPrefix), ":")
		slices.Reverse(fields)
		reversed, err2 := ParseSnapshot(SnapshotPrefix + strings.Join(fields, ":"))
		if strings.HasPrefix(in, SnapshotPrefix) && (s != reversed || (err == nil) != (err2 == nil)) {
			t.Fatalf("%q: %v, %v; in another order: %v, %v", in, s, err, reversed, err2)
		}
		if err != nil {
			if s != (Snapshot{}) {
				t.Errorf("%q: %v, and a value %v", in, err, s)
			}
			return
		}
		if again, err := ParseSnapshot(s.String()); err != nil || again != s {
			t.Errorf("%q became %q: %v", in, s.String(), err)
		}
		for _, id := range []string{s.Wall.BootID, bootB} {
			h := Host{
				Clocks: Clocks{time.Duration(mono & math.MaxInt64), time.Duration(boot & math.MaxInt64)},
				Wall:   Wall{BootID: id, Realtime: time.Duration(real & math.MaxInt64)},
			}
			for _, c := range AllClocks() {
				o, err := ResumeSetting(s).Resolve(c, h)
				if err != nil {
					continue
				}
				if v, err := o.Add(OffsetOf(h.Clocks.Get(c))); err != nil || v.Compare(OffsetOf(s.Clocks.Get(c))) < 0 {
					t.Errorf("%q: on %+v the %v clock reads %v, %v", in, h, c, v, err)
				}
			}
		}
	})
}

// FuzzKernelText: what the kernel prints is read (show_offset, kernel/time/namespace.c of
// Linux 6.18), and what is read can be written.
func FuzzKernelText(f *testing.F) {
	f.Add("monotonic  1 0\n7 -1 999999999", int64(math.MinInt64), int64(5))
	f.Add("1 2", int64(7), int64(1000000000))
	f.Fuzz(func(t *testing.T, text string, secs, nanos int64) {
		o, listed, err := ParseKernelText(text)
		if err == nil {
			again, both, err := ParseKernelText(o.KernelText())
			if again != o || len(both) != 2 || err != nil || len(listed) == 0 || len(listed) > 2 {
				t.Errorf("%q is %v, and that again %v, %v", text, o, again, err)
			}
		}
		want, wantErr := NewOffset(secs, nanos)
		for _, c := range AllClocks() {
			text := fmt.Sprintf("%-10s %10d %9d\n", c, secs, nanos)
			if o, listed, err := ParseKernelText(text); (err == nil) != (wantErr == nil) || err == nil && (o.Get(c) != want || len(listed) != 1 || !listed[c]) {
				t.Errorf("%q: %v, %v, %v", text, o, listed, err)
			}
		}
	})
}

// FuzzProc has the files of /proc say anything, and names in them that others have
// chosen, as the kernel writes them: those do not change what is read beside.
func FuzzProc(f *testing.F) {
	f.Add("a) S 1\n", "x) (y", uint64(1))
	f.Add("PPid:\t7\n", "\nPPid:\t8", uint64(1<<40))
	f.Add("0::/a\n1:freezer:/b", "a b\\040c - cgroup2", uint64(4026532177))
	f.Fuzz(func(t *testing.T, text, name string, n uint64) {
		_, _ = parseStatus([]byte(text))
		_, _ = parseStartTicks(text)
		parseCgroups(text)
		parsePinned(text)
		freezerPath(text)
		cgroupDir(text, n%2 == 0, name)

		name, _, _ = strings.Cut(name, "\x00")
		if got, err := parseStartTicks(fmt.Sprintf("7 (%s) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", name, n)); got != n || err != nil {
			t.Errorf("%q: started at %d, %v, want %d", name, got, err, n)
		}
		// proc_task_name, fs/proc/array.c.
		escaped := strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(name)
		parent, tracer := int(n>>33), int(uint32(n)>>1)
		status := fmt.Sprintf("Name:\t%s\nUmask:\t0022\nPid:\t7\nPPid:\t%d\nTracerPid:\t%d\nUid:\t0\n", escaped, parent, tracer)
		if got, err := parseStatus([]byte(status)); got != (Status{escaped, parent, tracer}) || err != nil {
			t.Errorf("%q is read as %+v, %v", status, got, err)
		}
		checkPaths(t, "/"+name, n)
	})
}

// checkPaths has a cgroup and a mount point of a name.
func checkPaths(t *testing.T, path string, n uint64) {
	group := strings.ReplaceAll(path, "\n", "") // cgroup_mkdir takes no line end
	text := "3:cpu,freezer:" + group + "\n0::/other\n"
	if v1, got := freezerPath(text); got != group || !v1 {
		t.Errorf("%q: freezer is %q", text, got)
	}
	if list := parseCgroups(text); !slices.Equal(list, []string{group, "/other"}) && group != "/other" {
		t.Errorf("%q: %q", text, list)
	}
	// show_mountinfo, fs/proc_namespace.c.
	mangled := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, "\\", `\134`).Replace(path)
	text = fmt.Sprintf("35 26 0:3 %[1]s %[1]s rw - ext4 /dev/sda1 rw\n36 26 0:4 time:[%[2]d] %[1]s rw shared:7 - nsfs nsfs rw\n37 26 0:5 / %[1]s rw - cgroup2 cgroup2 rw\n", mangled, n)
	if list := parsePinned(text); !slices.Equal(list, []Pinned{{n, path}}) {
		t.Errorf("%q: %+v", text, list)
	}
	if dir := cgroupDir(text, false, "/a"); dir != strings.TrimSuffix(path, "/")+"/a" && !strings.Contains(path, "/.") && !strings.Contains(path, "//") {
		t.Errorf("%q: /a is in %q", text, dir)
	}
}
