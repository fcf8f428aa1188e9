// Package man holds the man pages to the code. What timensctl(8) says of commands
// and options is checked where they are made, in internal/ctl.
package man

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"oci-timens/config"
	"oci-timens/hook"
	"oci-timens/spec"
	"oci-timens/timens"
)

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func wants(t *testing.T, page string, texts ...string) {
	t.Helper()
	content := read(t, page)
	for _, text := range texts {
		if !strings.Contains(content, text) {
			t.Errorf("%s lacks %q", page, text)
		}
	}
}

func TestConfigKeys(t *testing.T) {
	const page = "oci-timens-config.toml.5"
	keys := regexp.MustCompile(`(?m)^#?([a-z-]+) = `).FindAllStringSubmatch(string(config.DefaultTOML()), -1)
	if len(keys) < 12 {
		t.Fatalf("only %d keys found: %v", len(keys), keys)
	}
	text := read(t, page)
	for _, k := range keys {
		if !regexp.MustCompile(`(?m)^\.It (Sy [a-z-]+ , )?Sy ` + k[1] + `\b`).MatchString(text) {
			t.Errorf("%s lacks the key %q", page, k[1])
		}
	}
	wants(t, page, config.DefaultPath, config.EnvPath, ".Ss Table Sy defaults", ".Ss Table Sy policy", "policy.allow", "policy.deny")
	// Its examples are valid.
	for _, example := range regexp.MustCompile(`(?s)\.Bd -literal -offset indent\n(\[.*?)\.Ed`).FindAllStringSubmatch(text, -1) {
		file := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(file, []byte(example[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.LoadFile(file); err != nil {
			t.Error(err)
		}
	}
}

func TestAnnotations(t *testing.T) {
	const page = "io.timens.7"
	wants(t, page, ".It Sy "+spec.KeyMonotonic, ".It Sy "+spec.KeyBoottime, ".It Sy "+spec.KeyResume, ".It Sy "+spec.KeySave, ".It Sy "+spec.KeyCrun, spec.KeyApplied,
		"Ns Sy /pod", "Ns Sy /container. Ns Ar NAME", ".Sy d , h , m , s , ms , us\nand\n.Sy ns ,")
	examples := regexp.MustCompile(`(?m)^(io\.timens\.[a-z]+): "(.*)"$`).FindAllStringSubmatch(read(t, page), -1)
	if len(examples) < 3 {
		t.Fatalf("only %d examples found", len(examples))
	}
	for _, e := range examples {
		if _, err := spec.ParseAnnotations(map[string]string{e[1]: e[2]}); err != nil {
			t.Error(err)
		}
	}
	for _, span := range []string{"90061.000000042", "1d2h3.5s"} {
		wants(t, page, ".Ql "+span)
		if _, err := timens.ParseSetting(span); err != nil {
			t.Error(err)
		}
	}
}

func TestHookStages(t *testing.T) {
	stages := regexp.MustCompile(`createRuntime|poststart|poststop|precreate`).FindAllString(hook.Usage, -1)
	if len(stages) < 4 {
		t.Fatalf("stages in the usage: %q", stages)
	}
	for _, stage := range stages {
		wants(t, "timens-hook.8", ".It Cm "+stage+"\n")
	}
}

// TestReferences finds pages of ours that another one names and that are not there,
// or under another section.
func TestReferences(t *testing.T) {
	pages, err := filepath.Glob("*.[0-9]")
	if err != nil || len(pages) != 5 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		for _, ref := range regexp.MustCompile(`Xr (\S*timens\S*) ([0-9])`).FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(ref[1] + "." + ref[2]); err != nil {
				t.Errorf("%s names %s(%s): %v", page, ref[1], ref[2], err)
			}
		}
	}
}
