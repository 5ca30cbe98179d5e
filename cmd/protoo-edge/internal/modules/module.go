package modules

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
	"github.com/protoo-go/protoo/wasmhost/meter"
)

// A Module is one that the configuration mounts. Its fields are guarded by the set's lock.
type Module struct {
	set    *Set
	module *wasmhost.Module

	serving *config.Middleware // what was loaded last
	sum     [sha256.Size]byte
	loaded  time.Time

	wanted  *config.Middleware // what the configuration says
	seen    fs.FileInfo        // the file when it was read last, nil if that has failed
	resting fs.FileInfo        // a file that differs from it, when it was looked at last
	failed  string             // why what is wanted does not serve, "" if it does
}

// Handle is a [core.Handler].
func (m *Module) Handle(req *core.Request, next core.Next) error { return m.module.Handle(req, next) }

// Accept puts the module in front of who decides about connections.
func (m *Module) Accept(behind core.Accept) core.Accept { return m.module.Accept(behind) }

// look loads the file again if it has changed, and has not changed since the last look: what is still being written is
// no module.
func (m *Module) look() {
	info, err := os.Stat(m.wanted.Wasm.File)
	switch {
	case err != nil:
		m.seen, m.resting = nil, nil
		m.fail(err)
	case same(info, m.seen):
		m.resting = nil
	case !same(info, m.resting):
		m.resting = info
	default:
		m.reload(m.wanted)
	}
}

// same tells whether a file is as it was.
func same(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// reload makes the module what the entry says, if that differs from what serves.
func (m *Module) reload(entry *config.Middleware) {
	m.wanted, m.resting = entry, nil
	info, file, err := read(entry.Wasm.File)
	m.seen = info
	switch {
	case err != nil:
		m.fail(err)
		return
	case sha256.Sum256(file) == m.sum && entry.Equal(m.serving):
		m.failed = ""
		return
	}
	if err = suits(file, entry); err == nil {
		err = m.module.Reload(m.set.ctx, file, m.set.options(entry))
	}
	if err != nil {
		m.fail(explain(entry.Wasm.File, err))
		return
	}
	m.serve(entry, file)
	manifest := m.module.Manifest()
	m.set.log.Info("module reloaded", "module", manifest.Name, "version", manifest.Version, "path", entry.Path, "file", entry.Wasm.File)
}

// serve takes note of what serves.
func (m *Module) serve(entry *config.Middleware, file []byte) {
	m.serving, m.wanted, m.failed = entry, entry, ""
	m.sum, m.loaded = sha256.Sum256(file), time.Now()
}

// fail says once why what is wanted does not serve.
func (m *Module) fail(err error) {
	if m.set.ctx.Err() != nil || m.failed == err.Error() {
		return
	}
	m.failed = err.Error()
	m.set.log.Error("module not reloaded, the old one serves on", "module", m.module.Manifest().Name, "path", m.wanted.Path, "error", err)
}

// suits finds a file that does not do what its entry wants of it. One that no longer decided about
// connections would let the identity behind it decide.
func suits(file []byte, entry *config.Middleware) error {
	if !entry.Wasm.Connect {
		return nil
	}
	manifest, err := Manifest(file)
	if err == nil && !listens(*manifest) {
		err = errors.New("it has connect: true, but its manifest does not list the event connect")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", entry.Wasm.File, err)
	}
	return nil
}

func listens(m wasmhost.Manifest) bool {
	return slices.Contains(m.Events, wasmhost.EventConnect.String())
}

// Manifest returns the manifest in a module's file.
func Manifest(file []byte) (*wasmhost.Manifest, error) {
	metered, err := meter.Meter(file, meter.Options{Limits: meter.Limits{ModuleBytes: maxFile}})
	if err != nil {
		return nil, err
	}
	section := metered.Info.Section("protoo.manifest")
	if section == nil {
		return nil, errors.New("there is no section protoo.manifest")
	}
	return wasmhost.ParseManifest(section.Data)
}

// maxFile is the most that limits.file can be.
const maxFile = 256 << 20

// read reads a module's file.
func read(name string) (fs.FileInfo, []byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s is not a file", name)
	case info.Size() > maxFile:
		return nil, nil, fmt.Errorf("%s has %d bytes, at most %d are possible", name, info.Size(), maxFile)
	}
	var b bytes.Buffer
	b.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(f, maxFile)); err != nil {
		return nil, nil, err
	}
	return info, b.Bytes(), nil
}

// explain makes the error of a module that could not be loaded one for an operator, who knows its file.
func explain(file string, err error) error {
	failure, ok := errors.AsType[*wasmhost.Error](err)
	switch {
	case !ok:
		return err
	case failure.Kind == wasmhost.KindLoad:
		return fmt.Errorf("%s: %w", file, failure.Err)
	}
	return fmt.Errorf("%s: %s at %s: %w", file, failure.Kind, failure.Event, failure.Err)
}
