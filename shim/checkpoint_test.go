package shim

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oci-timens/internal/criu"
	"oci-timens/internal/testenv"
	"oci-timens/timens"
)

// withCRIU gives a world a criu that works and a container c1 that runs.
func (w *world) withCRIU(t *testing.T) (root string) {
	t.Helper()
	w.write(t, "bin/criu", "#!/bin/sh\necho Version: 4.1.1\n", 0o755)
	t.Setenv("PATH", filepath.Join(w.dir, "bin")+":/bin")
	init := exec.Command("sleep", "100")
	if err := init.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		init.Process.Kill()
		init.Wait()
	})
	w.write(t, "root/c1/state.json", fmt.Sprintf(`{"init_process_pid":%d}`, init.Process.Pid), 0o600)
	return filepath.Join(w.dir, "root")
}

func TestCheckpoint(t *testing.T) {
	w := newWorld(t, plainJSON, "")
	root, images := w.withCRIU(t), filepath.Join(w.dir, "a/images")
	args := []string{"--root", root, "checkpoint", "--image-path", images, "--leave-running", "c1"}
	if status := w.run(args...); status != 0 || w.stderr.Len() > 0 {
		t.Fatalf("exit status %d, %s", status, &w.stderr)
	}
	w.checkExec(t, args...)
	c, err := criu.ReadSidecar(images)
	if err != nil || c.ID != "c1" || !c.Offsets.IsZero() || c.Snapshot.Wall.BootID == "" {
		t.Errorf("%+v, %v", c, err)
	}
}

// What cannot be looked at, or need not be, is left to the runtime.
func TestCheckpointPasses(t *testing.T) {
	for name, tt := range map[string]struct {
		args    []string
		runtime string
		warning string
	}{
		"a pre-dump":          {[]string{"checkpoint", "--pre-dump", "--image-path", "@/i", "c1"}, "runc", ""},
		"none that runs":      {[]string{"checkpoint", "--image-path", "@/i", "c2"}, "runc", ""},
		"nothing to do":       {[]string{"checkpoint"}, "runc", ""},
		"no images":           {[]string{"restore", "--image-path", "@/i", "c3"}, "runc", ""},
		"a runtime not known": {[]string{"checkpoint", "--image-path", "@/i", "c1"}, "youki", "checkpoint by youki 1.5.2, of which it is not known where it keeps containers and how it starts CRIU: nothing is checked, and CLOCK_BOOTTIME stands still between checkpoint and restore"},
	} {
		w := newWorld(t, plainJSON, "")
		w.facts.name = tt.runtime
		args := append([]string{"--root", w.withCRIU(t)}, tt.args...)
		want := ""
		if tt.warning != "" {
			want = "timens-runc: warning: " + tt.warning + "\n"
		}
		if status := w.run(args...); status != 0 || w.stderr.String() != want {
			t.Errorf("%s: exit status %d, %s", name, status, &w.stderr)
		}
		w.checkExec(t, args...)
		if e, _ := os.ReadDir(w.bundle); len(e) != 1 {
			t.Errorf("%s: made %v", name, e)
		}
	}
}

func TestCheckpointRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		criu  string
		image string
		want  string
	}{
		"no CRIU":           {"", "i", `CRIU is missing: there is no criu in PATH=`},
		"an old CRIU":       {"echo Version: 3.13", "i", `CRIU 3.13 (`},
		"a CRIU that fails": {"[ $1 = check ] && { echo 'Error (x): no' >&2; exit 1; }; echo Version: 4.1.1", "i", `does not work on this kernel: criu check`},
		"no directory":      {"echo Version: 4.1.1", "config.json/i", `container "c1" is not checkpointed, and goes on: what its clocks need to go on later cannot be kept: `},
	} {
		w := newWorld(t, plainJSON, "")
		root := w.withCRIU(t)
		w.write(t, "bin/criu", "#!/bin/sh\n"+tt.criu+"\n", 0o755)
		if tt.criu == "" {
			os.Remove(filepath.Join(w.dir, "bin/criu"))
		}
		if os.Geteuid() != 0 && strings.Contains(tt.criu, "check") {
			continue // it is not asked
		}
		status := w.run("--root", root, "checkpoint", "--image-path", "@/"+tt.image, "c1")
		if status != 1 || len(w.execs) > 0 || !strings.Contains(w.stderr.String(), tt.want) {
			t.Errorf("%s: exit status %d, %d execs, %s", name, status, len(w.execs), &w.stderr)
		}
	}
}

// image is one of CRIU's, of a container whose clocks read so many seconds.
func image(mono, boot uint64) string {
	var message []byte
	for i, secs := range []uint64{mono, boot} {
		clock := append(binary.AppendUvarint([]byte{8}, secs), 16, 0)
		message = append(append(message, byte(i+1)<<3|2, byte(len(clock))), clock...)
	}
	head := binary.LittleEndian.AppendUint32(nil, 0x54564319)
	head = binary.LittleEndian.AppendUint32(head, 0x43114433)
	return string(binary.LittleEndian.AppendUint32(head, uint32(len(message)))) + string(message)
}

func TestRestorePlainly(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"CRIU has kept no clocks in the image directory @/i: there is no timens-*.img":   {"inventory.img": ""},
		"there is no oci-timens.json in @/i, as a checkpoint by timens-runc leaves it":   {"timens-0.img": image(5, 5)},
		"@/i/oci-timens.json: it is no sidecar of a checkpoint, or not a whole one: EOF": {"timens-0.img": image(5, 5), "oci-timens.json": ""},
		"@/i/timens-0.img: it is no image of a time namespace":                           {"timens-0.img": "x"},
	} {
		w := newWorld(t, plainJSON, "")
		w.withCRIU(t)
		for name, text := range files {
			w.write(t, "bundle/i/"+name, text, 0o600)
		}
		args := []string{"restore", "--bundle", "@", "--image-path", "i", "c1"} // below the bundle
		status := w.run(args...)
		want = "timens-runc: warning: CLOCK_BOOTTIME goes on as if no time had passed since the checkpoint: " + strings.ReplaceAll(want, "@", w.bundle) + "\n"
		if status != 0 || w.stderr.String() != want {
			t.Errorf("exit status %d, %q, want %q", status, &w.stderr, want)
		}
		w.checkExec(t, args...)
	}
}

// checkpointed is a world with the images of a container that was an hour ahead.
func checkpointed(t *testing.T, config string) (w *world, c criu.Sidecar) {
	t.Helper()
	if os.Geteuid() != 0 {
		testenv.Lacks(t, "root", "time namespaces are made")
	}
	w = newWorld(t, config, "")
	w.withCRIU(t)
	h, err := timens.Host{}.WithWall()
	if err != nil {
		t.Fatal(err)
	}
	const ago = 10 * time.Second
	h.Clocks.Monotonic, h.Clocks.Boottime = h.Clocks.Monotonic-ago, h.Clocks.Boottime-ago
	h.Wall.Realtime, h.Wall.Boottime = h.Wall.Realtime-ago, h.Wall.Boottime-ago
	hour := timens.OffsetOf(time.Hour)
	if c, err = criu.Take("c1", timens.Offsets{Monotonic: hour, Boottime: hour}, h); err != nil {
		t.Fatal(err)
	}
	if err := c.Write(filepath.Join(w.bundle, "i")); err != nil {
		t.Fatal(err)
	}
	at := c.Snapshot.Clocks
	w.write(t, "bundle/i/timens-0.img", image(uint64(at.Monotonic/time.Second)+1, uint64(at.Boottime/time.Second)+1), 0o600)
	return w, c
}

// One that was edited by hand keeps nobody from what CRIU does by itself.
func TestRestoreEdited(t *testing.T) {
	w, c := checkpointed(t, plainJSON)
	h := c.Snapshot.Wall.Boottime
	text := w.read(t, "bundle/i/oci-timens.json")
	is := fmt.Sprintf("host-boottime=%d.", h/time.Second)
	w.write(t, "bundle/i/oci-timens.json", strings.Replace(text, is, "host-boottime=9"+is[len("host-boottime="):], 1), 0o600)
	args := []string{"restore", "--bundle", "@", "--image-path", "@/i", "c1"}
	if status := w.run(args...); status != 0 || !strings.Contains(w.stderr.String(), "oci-timens.json: the snapshot is of this boot of this host, at ") {
		t.Errorf("exit status %d, %s", status, &w.stderr)
	}
	w.checkExec(t, args...)
	if strings.Contains(strings.Join(w.env, " "), "CRIU_CONFIG_FILE=/proc/") {
		t.Errorf("%q", w.env)
	}
}

func TestRestore(t *testing.T) {
	w, c := checkpointed(t, plainJSON)
	args := []string{"restore", "--bundle", "@", "--image-path", "@/i", "c1"}
	if status := w.run(args...); status != 0 || w.stderr.Len() > 0 {
		t.Fatalf("exit status %d, %s", status, &w.stderr)
	}
	w.checkExec(t, args...)
	file, found := strings.CutPrefix(w.env[len(w.env)-1], "CRIU_CONFIG_FILE=")
	options, err := os.ReadFile(file)
	path, joins := strings.CutPrefix(strings.TrimSuffix(string(options), "\n"), "join-ns time:")
	if !found || err != nil || !joins {
		t.Fatalf("%q, %q, %v", w.env, options, err)
	}
	o, err := timens.OffsetsAt(path)
	if err != nil || o.Boottime != c.Offsets.Boottime || o.Monotonic.Compare(c.Offsets.Monotonic) >= 0 {
		t.Errorf("%v, %v; at the checkpoint %v", o, err, c.Offsets)
	}
	if own := w.read(t, "own.log"); !strings.Contains(own, `level=info msg="restored by CRIU" container=c1 gap=`) {
		t.Errorf("our log: %s", own)
	}
}

func TestRestoreJoins(t *testing.T) {
	const joins = `{"linux":{"namespaces":[{"type":"time","path":"PATH"}]}}`
	w, c := checkpointed(t, joins)
	for ahead, want := range map[time.Duration]string{
		2 * time.Hour: "",
		time.Minute:   "must not go backward; let it join one whose clocks are ahead of that, or take the path out\n",
	} {
		v := timens.OffsetOf(ahead)
		ns, err := timens.Create(timens.Offsets{Monotonic: v, Boottime: v})
		if err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.File().Fd())
		w.write(t, "bundle/config.json", strings.Replace(joins, "PATH", path, 1), 0o600)
		w.stderr.Reset()
		w.execs = nil
		status := w.run("restore", "--bundle", "@", "--image-path", "@/i", "c1")
		if got := w.stderr.String(); (status == 0) != (want == "") || len(w.execs) != 1-status || !strings.HasSuffix(got, want) ||
			want != "" && !strings.HasPrefix(got, `timens-runc: config.json has the container join the time namespace "`+path+`", where CLOCK_MONOTONIC reads `) {
			t.Errorf("%v ahead: exit status %d, %s, %+v", ahead, status, got, c.Offsets)
		}
		ns.Close()
	}
	w.write(t, "bundle/config.json", strings.Replace(joins, "PATH", "/no", 1), 0o600)
	w.stderr.Reset()
	if status := w.run("restore", "--bundle", "@", "--image-path", "@/i", "c1"); status != 1 || !strings.Contains(w.stderr.String(), `"/no", whose clocks cannot be told: `) {
		t.Errorf("exit status %d, %s", status, &w.stderr)
	}
}
