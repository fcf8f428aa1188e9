package nri

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"

	"oci-timens/config"
)

func TestMainRefuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(bad, []byte("x = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"x":                         `unexpected argument "x"`,
		"--hok /x":                  "flag provided but not defined: -hok",
		"--plugin-idx 1":            "--plugin-name, --plugin-idx: ",
		"--plugin-idx 1x":           "--plugin-name, --plugin-idx: ",
		"--hook timens-hook":        `--hook: "timens-hook" is no absolute path`,
		"--config /none/there.toml": "--config: stat /none/there.toml: no such file or directory",
		"--config " + bad:           `line 1: unknown key "x"`,
		"--log-level loud":          `--log-level: unknown log level "loud": want error, warning, info or debug`,
		"--log-format xml":          `--log-format: unknown format "xml": want json or text`,
		"--listen 127.0.0.1:99999":  "--listen: listen tcp: address 99999: invalid port",
	} {
		var out, errs strings.Builder
		if status := Main(append([]string{"timens-nri"}, strings.Fields(args)...), &out, &errs, "1"); status != 1 || !strings.Contains(errs.String(), "timens-nri: ") || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: %d, %q, want %q", args, status, errs.String(), want)
		}
	}
}

// TestUnconnected tries on until it is told to end, and tells why once.
func TestUnconnected(t *testing.T) {
	var said strings.Builder
	log, err := newLog(&said, "warning", "json")
	if err != nil {
		t.Fatal(err)
	}
	p := &Plugin{hook: "/hook", log: log, metrics: newMetrics("1"), load: func() (*config.Config, error) { return config.Default(), nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.serve(ctx, link{socket: filepath.Join(t.TempDir(), "none"), name: "timens", index: "10"}); err != nil {
		t.Error(err)
	}
	if n := strings.Count(said.String(), "not connected to the engine: trying on"); n != 1 || p.ready() == nil {
		t.Errorf("said %d times, ready: %v: %s", n, p.ready(), said.String())
	}
}

// TestCrash has a mistake of ours keep a container from starting, and not the engine go
// on without the plugin.
func TestCrash(t *testing.T) {
	log, err := newLog(&strings.Builder{}, "error", "text")
	if err != nil {
		t.Fatal(err)
	}
	p := &Plugin{hook: "/hook", log: log, metrics: newMetrics("1"), load: func() (*config.Config, error) { panic("mistake") }}
	if _, _, err := p.CreateContainer(t.Context(), &api.PodSandbox{Id: "1"}, &api.Container{}); err == nil || err.Error() != "timens-nri: cannot tell what clocks the container gets: mistake" {
		t.Error(err)
	}
}
