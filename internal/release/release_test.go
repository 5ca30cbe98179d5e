package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var commit = time.Date(2026, 3, 4, 5, 6, 8, 0, time.UTC)

// writeFiles writes a program and a text that belongs to it, with modes that depend on nothing but the time of day.
func writeFiles(t *testing.T, mode os.FileMode) []string {
	t.Helper()
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "program"), filepath.Join(dir, "README.md")}
	for _, name := range files {
		if err := os.WriteFile(name, []byte("text of "+filepath.Base(name)), mode); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestArchives makes each twice, of files in different folders with different times and modes.
func TestArchives(t *testing.T) {
	r := &release{version: "1.2.3", time: commit}
	for name, write := range map[string]func(string, string, []string) error{"a.tar.gz": r.writeTar, "a.zip": r.writeZip} {
		var made [][]byte
		for _, mode := range []os.FileMode{0o600, 0o755} {
			archive := filepath.Join(t.TempDir(), name)
			if err := write(archive, "protoo-edge_1.2.3", writeFiles(t, mode)); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(archive)
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, text)
		}
		if !bytes.Equal(made[0], made[1]) {
			t.Errorf("%s: made twice it differs", name)
		}
		if got := unpack(t, name, made[0]); !slices.Equal(got, []string{
			"protoo-edge_1.2.3/program -rwxr-xr-x 2026-03-04T05:06:08Z text of program",
			"protoo-edge_1.2.3/README.md -rw-r--r-- 2026-03-04T05:06:08Z text of README.md",
		}) {
			t.Errorf("%s has %q", name, got)
		}
	}
}

// unpack describes the members of an archive.
func unpack(t *testing.T, name string, archive []byte) []string {
	t.Helper()
	var all []string
	add := func(name string, info os.FileInfo, r io.Reader) {
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name+" "+info.Mode().String()+" "+info.ModTime().UTC().Format(time.RFC3339)+" "+string(text))
	}
	if strings.HasSuffix(name, ".zip") {
		z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(f.Name, f.FileInfo(), r)
		}
		return all
	}
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		add(header.Name, header.FileInfo(), r)
	}
}

func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b": "", "a": "abc"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeChecksums(dir, []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	// FIPS 180-2, appendix B.1, and the digest of nothing.
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n" +
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n"
	if got, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS")); err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	if writeChecksums(dir, []string{"c"}) == nil {
		t.Error("there is a checksum of a file that is not there")
	}
}

func TestBill(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.0",
		Main:      debug.Module{Path: "github.com/protoo-go/protoo"},
		Deps: []*debug.Module{
			{Path: "golang.org/x/sys", Version: "v0.49.0", Sum: "h1:abc="},
			{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/new", Version: "v1.1.0+incompatible"}},
		},
	}
	all := billOf(info, "1.2.3", commit, platform{"linux", "arm64"})
	if c := all.Metadata.Component; c.PURL != "pkg:golang/github.com/protoo-go/protoo@v1.2.3" || c.Type != "application" {
		t.Errorf("the program is %+v", c)
	}
	var got []string
	for _, c := range all.Components {
		got = append(got, c.PURL)
	}
	want := []string{"pkg:golang/std@go1.26.0", "pkg:golang/golang.org/x/sys@v0.49.0", "pkg:golang/example.com/new@v1.1.0%2Bincompatible"}
	if !slices.Equal(got, want) || !slices.Equal(all.Dependencies[0].DependsOn, want) {
		t.Errorf("got %q, %q", got, all.Dependencies)
	}
}

// TestBillOfTheTest reads what a program says of itself, for which there is one at hand.
func TestBillOfTheTest(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &release{version: "1.2.3", commit: "abc", time: commit}
	name := filepath.Join(t.TempDir(), "bill.json")
	if err := r.writeBill(exe, platform{"linux", "amd64"}, name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var got bill
	if err := json.Unmarshal(text, &got); err != nil || got.Format != "CycloneDX" || got.Metadata.Timestamp != "2026-03-04T05:06:08Z" {
		t.Errorf("got %.200s, %v", text, err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(got.Metadata.Component.Hashes[0].Content) {
		t.Errorf("the program is %+v", got.Metadata.Component)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, "no platforms"},
		{[]string{"linux"}, `platform "linux"`},
		{[]string{"../x/y"}, `platform "../x/y"`},
		{[]string{"linux/amd64 -X"}, `platform "linux/amd64 -X"`},
	} {
		r := &release{version: "1.2.3", dir: t.TempDir()}
		if err := r.make(tt.names); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v", tt.names, err)
		}
	}
}
