// Command sbom writes the bill of materials of a release's programs: which modules of
// which versions each is made of, in the form of CycloneDX 1.6. It is what Go's linker has
// noted in them, and the same for the same programs: there is no time and no random number
// in it but those it is given.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

const project = "oci-timens"

type bom struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licenses   []license  `json:"licenses,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: sbom VERSION PROGRAM..., with the time of the release in SOURCE_DATE_EPOCH"))
	}
	b, err := describe(os.Args[1], os.Getenv("SOURCE_DATE_EPOCH"), os.Args[2:])
	if err != nil {
		fail(err)
	}
	out, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		fail(err)
	}
	fmt.Printf("%s\n", out)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "sbom:", err)
	os.Exit(1)
}

func describe(version, epoch string, programs []string) (*bom, error) {
	secs, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	own := license{}
	own.License.ID = "Apache-2.0"
	whole := component{Type: "application", Ref: project, Name: project, Version: version, Licenses: []license{own}}
	b := &bom{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata:     metadata{time.Unix(secs, 0).UTC().Format(time.RFC3339), whole},
		Dependencies: []dependency{{Ref: project}},
	}
	modules := map[string]component{}
	for _, path := range programs {
		c, uses, err := program(version, path)
		if err != nil {
			return nil, err
		}
		d := dependency{Ref: c.Ref}
		for _, m := range uses {
			modules[m.Ref] = m
			d.DependsOn = append(d.DependsOn, m.Ref)
		}
		slices.Sort(d.DependsOn)
		b.Components = append(b.Components, c)
		b.Dependencies[0].DependsOn = append(b.Dependencies[0].DependsOn, c.Ref)
		b.Dependencies = append(b.Dependencies, d)
	}
	var refs []string
	for ref := range modules {
		refs = append(refs, ref)
	}
	slices.Sort(refs)
	for _, ref := range refs {
		b.Components = append(b.Components, modules[ref])
		b.Dependencies = append(b.Dependencies, dependency{Ref: ref}) // what a module needs of others is not noted
	}
	return b, nil
}

// program describes one program, and the modules that are linked into it.
func program(version, path string) (c component, uses []component, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return c, nil, err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return c, nil, err
	}
	sum := sha256.Sum256(text)
	name := filepath.Base(path)
	c = component{
		Type: "application", Ref: project + "/" + name, Name: name, Version: version,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS", "GOARCH", "CGO_ENABLED", "-tags":
			c.Properties = append(c.Properties, property{"go:" + s.Key, s.Value})
		}
	}
	uses = append(uses, module("std", strings.TrimPrefix(info.GoVersion, "go"), ""))
	for _, m := range info.Deps {
		uses = append(uses, linked(m))
	}
	return c, uses, nil
}

// linked is a module as it was linked, which may be in the place of another.
func linked(m *debug.Module) component {
	if m.Replace != nil {
		m = m.Replace
	}
	return module(m.Path, m.Version, m.Sum)
}

func module(path, version, sum string) component {
	// purl-spec, types/golang: in lower case.
	purl := "pkg:golang/" + strings.ToLower(path) + "@" + url.QueryEscape(version)
	c := component{Type: "library", Ref: purl, Name: path, Version: version, PURL: purl}
	if sum != "" {
		c.Properties = []property{{"go:sum", sum}} // as in go.sum, which is no hash of a file
	}
	return c
}
