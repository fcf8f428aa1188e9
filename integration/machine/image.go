package machine

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Image writes the archive of an image that holds the probe, and busybox where
// the machine below has a static one, as an OCI layout and in the form of
// "docker save": podman load, docker load and ctr image import all take it.
// Started without arguments, a container of it reports once and waits for SIGTERM.
// name is a full reference, such as "localhost/probe:latest".
func Image(t testing.TB, name string) string {
	t.Helper()
	return pack(t, name, layerFiles(t), map[string]any{
		"Entrypoint": []string{"/probe"}, "Cmd": []string{"hold"},
		"Env": []string{"PATH=/:/bin"}, "StopSignal": "SIGTERM",
	})
}

// ImageOf is the same of an image that holds some programs of the machine below, and
// nothing else.
func ImageOf(t testing.TB, name string, programs ...string) string {
	t.Helper()
	var files []entry
	for _, path := range programs {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, entry{filepath.Base(path), content, 0o555})
	}
	return pack(t, name, files, map[string]any{})
}

func pack(t testing.TB, name string, files []entry, settings map[string]any) string {
	t.Helper()
	layer := archive(t, files)
	config := marshal(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"created": "1970-01-01T00:00:00Z",
		"config":  settings,
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	blob := func(content []byte) string { return "blobs/sha256/" + digest(content)[len("sha256:"):] }
	descriptor := func(media string, content []byte) map[string]any {
		return map[string]any{"mediaType": media, "digest": digest(content), "size": len(content)}
	}
	manifest := marshal(t, map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", layer)},
	})
	listed := descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
	listed["annotations"] = map[string]string{
		"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name,
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, archive(t, []entry{
		{"oci-layout", marshal(t, map[string]any{"imageLayoutVersion": "1.0.0"}), 0o644},
		{"index.json", marshal(t, map[string]any{"schemaVersion": 2, "manifests": []any{listed}}), 0o644},
		{"manifest.json", marshal(t, []any{map[string]any{
			"Config": blob(config), "RepoTags": []string{name}, "Layers": []string{blob(layer)},
		}}), 0o644},
		{blob(layer), layer, 0o644}, {blob(config), config, 0o644}, {blob(manifest), manifest, 0o644},
	}), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

type entry struct {
	name    string
	content []byte // nil: a folder
	mode    int64
}

func layerFiles(t testing.TB) []entry {
	files := []entry{
		{"bin/", nil, 0o755}, {"dev/", nil, 0o755}, {"etc/", nil, 0o755}, {"proc/", nil, 0o755}, {"sys/", nil, 0o755},
		{"tmp/", nil, 0o777},
		{"etc/passwd", []byte("root:x:0:0:root:/:/bin/sh\n"), 0o644},
	}
	for from, to := range map[string]string{Programs(t).Probe: "probe", "/bin/busybox": "bin/sh"} {
		content, err := os.ReadFile(from)
		if os.IsNotExist(err) && to == "bin/sh" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, entry{to, content, 0o755})
	}
	return files
}

func archive(t testing.TB, entries []entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		if e.content == nil {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func marshal(t testing.TB, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
