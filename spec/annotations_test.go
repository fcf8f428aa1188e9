package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oci-timens/timens"
)

func setting(t *testing.T, s string) timens.Setting {
	t.Helper()
	v, err := timens.ParseSetting(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParseAnnotations(t *testing.T) {
	type asks struct{ Monotonic, Boottime string } // "key value", for short
	web := map[string]string{"io.kubernetes.cri.container-name": "web", "io.kubernetes.cri.container-type": "container"}
	webCrio := map[string]string{"io.kubernetes.cri-o.ContainerName": "web", "io.kubernetes.cri-o.ContainerType": "container"}
	all := map[string]string{
		KeyMonotonic:                    "+1s",
		KeyMonotonic + "/pod":           "+2s",
		KeyMonotonic + "/container.web": "+3s",
		KeyMonotonic + "/container.db":  "+4s",
		KeyCrun:                         "monotonic 5 0\nboottime -6 500000000\n",
	}
	crunNote := `annotation "run.oci.timens_offset" is deprecated: use io.timens.monotonic=+5s and io.timens.boottime=-5.5s`
	for name, tt := range map[string]struct {
		in    []map[string]string
		want  asks
		notes []string
	}{
		"nothing":       {in: []map[string]string{{"org.example": "io.timens.", "io.timenses": "x"}}},
		"both":          {[]map[string]string{{KeyMonotonic: "+1h", KeyBoottime: "=0"}}, asks{KeyMonotonic + " +1h", KeyBoottime + " =0"}, nil},
		"one":           {[]map[string]string{{KeyBoottime: "90061.000000042"}}, asks{"", KeyBoottime + " 90061.000000042"}, nil},
		"asks for zero": {[]map[string]string{{KeyBoottime: "0"}}, asks{"", KeyBoottime + " 0"}, nil},
		"container":     {[]map[string]string{web, all}, asks{KeyMonotonic + "/container.web +3s", KeyCrun + " " + all[KeyCrun]}, []string{crunNote}},
		"CRI-O":         {[]map[string]string{webCrio, all}, asks{KeyMonotonic + "/container.web +3s", KeyCrun + " " + all[KeyCrun]}, []string{crunNote}},
		"both engines":  {[]map[string]string{web, webCrio, {KeyMonotonic + "/container.web": "1"}}, asks{KeyMonotonic + "/container.web 1", ""}, nil},
		"other container": {[]map[string]string{{"io.kubernetes.cri.container-name": "log"}, all},
			asks{KeyMonotonic + "/pod +2s", KeyCrun + " " + all[KeyCrun]}, []string{crunNote}},
		// CRI-O gives sandboxes a name, too.
		"sandbox": {[]map[string]string{{"io.kubernetes.cri-o.ContainerType": "sandbox", "io.kubernetes.cri-o.ContainerName": "web"}, all},
			asks{KeyMonotonic + "/pod +2s", KeyCrun + " " + all[KeyCrun]}, []string{crunNote}},
		"key over crun": {[]map[string]string{{KeyBoottime: "+1s", KeyCrun: "7 5 0"}}, asks{"", KeyBoottime + " +1s"},
			[]string{`annotation "run.oci.timens_offset" is deprecated: use io.timens.boottime=+5s`}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseAnnotations(merged(tt.in...))
			if err != nil {
				t.Fatal(err)
			}
			show := func(a Asked) string {
				key := strings.TrimSuffix(strings.TrimPrefix(a.Source, `annotation "`), `"`)
				if key != KeyCrun && a.Setting != (timens.Setting{}) && a.Setting != setting(t, a.Value) {
					t.Errorf("%s %q was read as %v", a.Source, a.Value, a.Setting)
				}
				return strings.TrimSpace(key+" ") + strings.TrimRight(" "+a.Value, " ")
			}
			if diff := cmp.Diff(tt.want, asks{show(r.Get(timens.Monotonic)), show(r.Get(timens.Boottime))}); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.notes, r.Notes); diff != "" {
				t.Error(diff)
			}
			if r.IsZero() != (tt.want == asks{}) {
				t.Errorf("IsZero is %v", r.IsZero())
			}
		})
	}
}

func merged(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func TestParseAnnotationsCrunOffsets(t *testing.T) {
	r, err := ParseAnnotations(map[string]string{KeyCrun: "1 86400 0\nboottime -1 500000000"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Monotonic.Setting != setting(t, "+1d") || r.Boottime.Setting != setting(t, "-0.5s") {
		t.Errorf("got %v and %v", r.Monotonic.Setting, r.Boottime.Setting)
	}
}

func TestParseAnnotationsRefuses(t *testing.T) {
	const keys = `is unknown: the keys are io.timens.monotonic and io.timens.boottime, io.timens.resume and io.timens.save, each with /pod or /container.NAME`
	for name, tt := range map[string]struct {
		in   map[string]string
		want string
	}{
		"misspelt":       {map[string]string{"io.timens.botttime": "+1h"}, `annotation "io.timens.botttime" ` + keys},
		"resume":         {map[string]string{"io.timens.resume": "x"}, `annotation "io.timens.resume": "x": want ` + wantResume},
		"resume name":    {map[string]string{"io.timens.resume": "saved:../x"}, `annotation "io.timens.resume": "../x" is no name of a snapshot: ` + savedNames},
		"save name":      {map[string]string{"io.timens.save": "a/b"}, `annotation "io.timens.save": "a/b" is no name for a snapshot: ` + savedNames},
		"resume twice":   {map[string]string{"io.timens.resume": "saved:x", KeyBoottime: "=0"}, `annotation "io.timens.boottime" and annotation "io.timens.resume" contradict each other, for both ask for the boottime clock: remove one`},
		"no snapshot":    {map[string]string{"io.timens.resume": "v1:x=1"}, `annotation "io.timens.resume": "v1:x=1": unknown field "x" of a snapshot at position 4`},
		"other case":     {map[string]string{"io.timens.Boottime": "+1h"}, `annotation "io.timens.Boottime" ` + keys},
		"slash":          {map[string]string{"io.timens/boottime": "+1h"}, `annotation "io.timens/boottime" ` + keys},
		"prefix":         {map[string]string{"io.timens": "+1h"}, `annotation "io.timens" ` + keys},
		"suffix":         {map[string]string{"io.timens.boottime/pods": "+1h"}, `annotation "io.timens.boottime/pods" ` + keys},
		"sorted":         {map[string]string{"io.timens.x": "", "io.timens.a": "", KeyBoottime: "?"}, `annotation "io.timens.a" ` + keys},
		"long key":       {map[string]string{Prefix + strings.Repeat("x", 5000): "+1h"}, `annotation "io.timens.` + strings.Repeat("x", 246) + `…" ` + keys},
		"container name": {map[string]string{KeyBoottime + "/container.": "+1h"}, `annotation "io.timens.boottime/container.": "" is no container name: letters, digits, "-", "_" and "." follow "container."`},
		"empty":          {map[string]string{KeyBoottime: ""}, `annotation "io.timens.boottime": the value "" is empty: want an offset such as "+36h", or "=0" for a clock that starts at zero`},
		"unit":           {map[string]string{KeyBoottime: "+36x"}, `annotation "io.timens.boottime": "+36x": unknown unit "x" (units are d h m s ms us ns) at position 4`},
		"trailing":       {map[string]string{KeyMonotonic: "+1h "}, `annotation "io.timens.monotonic": "+1h ": ' ' where a digit is needed at position 4`},
		"not the winner": {map[string]string{KeyMonotonic: "soon", KeyMonotonic + "/pod": "+1h"}, `annotation "io.timens.monotonic": "soon": 's' where a digit is needed at position 1`},
		"long": {map[string]string{KeyBoottime: strings.Repeat("1", 5000)}, `annotation "io.timens.boottime": the value "` + strings.Repeat("1", 256) +
			`…" is 5000 bytes long, at most 4095 are allowed: want an offset such as "+36h", or "=0" for a clock that starts at zero`},
		"no name": {map[string]string{KeyBoottime + "/container.web": "+1h"},
			`annotation "io.timens.boottime/container.web": this container has no name in a pod (no annotation io.kubernetes.cri.container-name or io.kubernetes.cri-o.ContainerName): use io.timens.boottime`},
		"two names": {map[string]string{KeyBoottime + "/container.web": "+1h", keyContainerdName: "web", keyCrioName: "db"},
			`annotation "io.timens.boottime/container.web": annotations "io.kubernetes.cri.container-name": "web" and "io.kubernetes.cri-o.ContainerName": "db" contradict each other`},
		"two types": {map[string]string{KeyBoottime + "/container.web": "+1h", keyContainerdType: "container", keyCrioType: "sandbox"},
			`annotation "io.timens.boottime/container.web": annotations "io.kubernetes.cri.container-type": "container" and "io.kubernetes.cri-o.ContainerType": "sandbox" contradict each other`},
		"crun empty": {map[string]string{KeyCrun: ""}, `annotation "run.oci.timens_offset": the value "" is empty: want lines such as "monotonic 3600 0"`},
		"crun line": {map[string]string{KeyBoottime: "0", KeyCrun: "monotonic 1 0\nboottime 1"},
			`annotation "run.oci.timens_offset": line 2 "boottime 1": want "clock seconds nanoseconds"`},
		"crun nanoseconds": {map[string]string{KeyCrun: "boottime 1 1000000000"},
			`annotation "run.oci.timens_offset": line 1 "boottime 1 1000000000": nanoseconds 1000000000 are out of range: they are 0 to 999999999, and seconds carry the sign`},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseAnnotations(tt.in)
			if !r.IsZero() {
				t.Errorf("a request was returned: %v", r)
			}
			wantError(t, err, tt.want)
		})
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if err.Error() != want {
		t.Errorf("error\n     %s\nwant %s", err, want)
	}
}

func TestMentioned(t *testing.T) {
	for text, want := range map[string]bool{
		`{"annotations":{"a":"\u0026 time ns \u003c"}}`:             false,
		`{"annotations":{"io.timens.monotonic":"+1h"}}`:             true,
		`{"annotations":{"run.oci.timens_offset":""}}`:              true,
		`{"annotations":{"io.\u0074imens.monotonic":"+1h"}}`:        true,
		`{"annotations":{"io.time\u006Es.monotonic":"+1h"}}`:        true,
		`{"io.timens.applied":{}}`:                                  true,
		`{"io\u002etimens.applied":{}}`:                             true,
		`{"io\u002Etimens.applied":{}}`:                             true,
		`{"syscalls":[{"names":["utimensat","utimensat_time64"]}]}`: false,
		"": false,
	} {
		if got := Mentioned([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
