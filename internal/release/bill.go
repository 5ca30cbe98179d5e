package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// A bill of materials says what a program is made of: CycloneDX 1.6, of which these are the fields that
// are known.
type bill struct {
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
	PURL       string     `json:"purl"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// writeBill writes what the program says of itself: the modules that are linked into it, not those that go.mod has
// for tests.
func (r *release) writeBill(program string, p platform, name string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	all := billOf(info, r.version, r.time, p)
	all.Metadata.Component.Hashes = []hash{{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(text))}}
	if r.commit != "" {
		all.Metadata.Component.Properties = append(all.Metadata.Component.Properties, property{"protoo:commit", r.commit})
	}
	out, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(out, '\n'), 0o644)
}

func billOf(info *debug.BuildInfo, version string, at time.Time, p platform) *bill {
	main := module("application", info.Main.Path, "v"+version)
	main.Properties = []property{{"cdx:gomod:build:env:GOOS", p.os}, {"cdx:gomod:build:env:GOARCH", p.arch}}
	all := &bill{
		Schema:      "http://cyclonedx.org/schema/bom-1.6.schema.json",
		Format:      "CycloneDX",
		SpecVersion: "1.6",
		Version:     1,
		Metadata:    metadata{Timestamp: at.Format(time.RFC3339), Component: main},
	}
	all.Components = append(all.Components, module("library", "std", info.GoVersion))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := module("library", m.Path, m.Version)
		if m.Sum != "" {
			c.Properties = []property{{"cdx:gomod:sum", m.Sum}}
		}
		all.Components = append(all.Components, c)
	}
	direct := dependency{Ref: main.Ref}
	for _, c := range all.Components {
		direct.DependsOn = append(direct.DependsOn, c.Ref)
	}
	all.Dependencies = []dependency{direct}
	return all
}

func module(kind, path, version string) component {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		parts = append(parts, url.PathEscape(part))
	}
	purl := "pkg:golang/" + strings.Join(parts, "/") + "@" + url.QueryEscape(version)
	return component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
}
