package install

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type bom struct {
	BOMFormat, SpecVersion string
	Metadata               struct {
		Component struct{ Name, Version string }
	}
	Components []struct {
		Type, Name, Version, PURL string
		Ref                       string `json:"bom-ref"`
		Hashes                    []struct{ Alg, Content string }
	}
	Dependencies []struct {
		Ref       string
		DependsOn []string
	}
}

// TestReleasedBOM compares the bill of materials with the programs that are released, as
// the go command reads them.
func TestReleasedBOM(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		text, err := os.ReadFile(filepath.Join(release(t), "oci-timens-"+packaged+"-linux-"+arch+".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var b bom
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		if b.BOMFormat != "CycloneDX" || b.SpecVersion != "1.6" || b.Metadata.Component.Name != "oci-timens" || b.Metadata.Component.Version != tag {
			t.Errorf("it is of %+v, %s %s", b.Metadata.Component, b.BOMFormat, b.SpecVersion)
		}
		refs := b.refs(t)
		for _, program := range []string{"timens-hook", "timens-runc", "timensctl"} {
			want := linked(t, filepath.Join(release(t), program+"."+arch))
			if got := refs["oci-timens/"+program]; !slices.Equal(got, want) {
				t.Errorf("%s for %s is of %q, and by the go command of %q", program, arch, got, want)
			}
			b.checkHash(t, program, filepath.Join(release(t), program+"."+arch))
		}
	}
}

// refs returns what each component depends on. Each is there once, and all are there.
func (b bom) refs(t *testing.T) map[string][]string {
	t.Helper()
	known := map[string]bool{b.Metadata.Component.Name: true}
	for _, c := range b.Components {
		if known[c.Ref] || c.Type == "library" && c.PURL != c.Ref {
			t.Errorf("component %+v", c)
		}
		known[c.Ref] = true
	}
	all := map[string][]string{}
	for _, d := range b.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if !known[ref] {
				t.Errorf("%q is no component", ref)
			}
		}
		all[d.Ref] = d.DependsOn
	}
	if len(all) != len(known) || len(all[b.Metadata.Component.Name]) != 3 {
		t.Errorf("%d components, and what %d depend on: %q", len(known), len(all), all[b.Metadata.Component.Name])
	}
	return all
}

func (b bom) checkHash(t *testing.T, name, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	for _, c := range b.Components {
		if c.Name == name && (len(c.Hashes) != 1 || c.Hashes[0].Alg != "SHA-256" || c.Hashes[0].Content != hex.EncodeToString(sum[:])) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// linked lists the modules in a program, and Go's own.
func linked(t *testing.T, path string) []string {
	t.Helper()
	out, err := exec.Command("go", "version", "-m", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(out), "\n")
	_, version, _ := strings.Cut(first, ": go")
	list := []string{"pkg:golang/std@" + version}
	for line := range strings.Lines(rest) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "dep" {
			list = append(list, "pkg:golang/"+strings.ToLower(f[1])+"@"+strings.ReplaceAll(f[2], "+", "%2B"))
		}
	}
	slices.Sort(list)
	return list
}
