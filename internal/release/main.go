// Release builds protoo-edge for several systems, from nothing but the source: whoever runs it for the same commit, with
// the same version of Go, gets the same bytes, in whatever folder and at whatever time.
//
//	go run ./internal/release -commit $(git rev-parse HEAD) -time $(git log -1 --format=%ct) -o dist linux/amd64 darwin/arm64
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/protoo-go/protoo/core"
)

// A release is what all its archives have in common.
type release struct {
	version string
	commit  string
	time    time.Time // of the commit, for everything that has a time
	dir     string    // where it goes
}

// A platform is a system and a processor.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

func main() {
	r := release{version: core.Version}
	flag.StringVar(&r.commit, "commit", "", "what it is built from")
	seconds := flag.Int64("time", 0, "time of the commit, in seconds since 1970")
	flag.StringVar(&r.dir, "o", "dist", "folder to write to")
	flag.Parse()
	r.time = time.Unix(*seconds, 0).UTC()
	if err := r.make(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var platforms = regexp.MustCompile(`^(\w+)/(\w+)$`)

// make writes an archive and a bill of materials for each platform, and the checksums of them all.
func (r *release) make(names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("no platforms, expected some such as linux/amd64")
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	var files []string
	for _, name := range names {
		found := platforms.FindStringSubmatch(name)
		if found == nil {
			return fmt.Errorf("platform %q, expected one such as linux/amd64", name)
		}
		made, err := r.makeFor(platform{found[1], found[2]})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, made...)
	}
	return writeChecksums(r.dir, files)
}

// makeFor returns the names of what it has made.
func (r *release) makeFor(p platform) ([]string, error) {
	work, err := os.MkdirTemp("", "release")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	program := filepath.Join(work, "protoo-edge")
	if p.os == "windows" {
		program += ".exe"
	}
	if err := r.build(p, program); err != nil {
		return nil, err
	}
	base := "protoo-edge_" + r.version + "_" + p.String()
	bill := base + ".cdx.json"
	if err := r.writeBill(program, p, filepath.Join(r.dir, bill)); err != nil {
		return nil, err
	}
	archive := base + ".tar.gz"
	write := r.writeTar
	if p.os == "windows" {
		archive, write = base+".zip", r.writeZip
	}
	content := []string{program, "LICENSE", "README.md", "CHANGELOG.md", filepath.Join("docs", "operations.md")}
	if p.os == "linux" {
		for _, name := range []string{"protoo-edge.service", "protoo-edge.socket", "protoo-edge.sysusers", "edge.yaml"} {
			content = append(content, filepath.Join("deploy", "systemd", name))
		}
	}
	if err := write(filepath.Join(r.dir, archive), base, content); err != nil {
		return nil, err
	}
	fmt.Println(archive)
	return []string{archive, bill}, nil
}

// build leaves nothing in the program of where, when and by whom it was built.
func (r *release) build(p platform, program string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program,
		"-ldflags=-s -w -buildid= -X main.commit="+r.commit, "./cmd/protoo-edge")
	cmd.Env = append(withoutGo(os.Environ()), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOTOOLCHAIN="+runtime.Version(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// withoutGo leaves out what would change a program.
func withoutGo(environ []string) []string {
	var rest []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFIPS140", "GOFLAGS", "GOOS", "GOARCH", "GODEBUG", "GOWORK", "GOTOOLCHAIN":
		default:
			rest = append(rest, entry)
		}
	}
	return rest
}
