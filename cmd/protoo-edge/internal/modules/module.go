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
)

// A Module is one that the configuration mounts. Who has the set's lock for loading may change its fields.
type Module struct {
	set    *Set
	module *wasmhost.Module

	wanted  *config.Middleware // what the configuration says
	seen    fs.FileInfo        // the file when it was read last, nil if that has failed
	resting fs.FileInfo        // a file that differs from it, when it was looked at last

	// These are changed with the other lock as well, for those who look.
	serving *config.Middleware // what was loaded last
	sum     [sha256.Size]byte
	loaded  time.Time
	failed  string // why what is wanted does not serve, "" if it does
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
		m.note("")
		return
	}
	if err = m.module.Reload(m.set.ctx, file, m.set.options(entry)); err != nil {
		m.fail(explain(entry.Wasm.File, err))
		return
	}
	m.serve(entry, file)
	manifest := m.module.Manifest()
	m.set.log.Info("module reloaded", "module", manifest.Name, "version", manifest.Version, "path", entry.Path, "file", entry.Wasm.File)
}

// serve takes note of what serves.
func (m *Module) serve(entry *config.Middleware, file []byte) {
	m.wanted = entry
	m.set.mu.Lock()
	defer m.set.mu.Unlock()
	m.serving, m.failed = entry, ""
	m.sum, m.loaded = sha256.Sum256(file), time.Now()
}

// fail says once why what is wanted does not serve.
func (m *Module) fail(err error) {
	if m.set.ctx.Err() != nil || m.failed == err.Error() {
		return
	}
	m.note(err.Error())
	m.set.log.Error("module not reloaded, the old one serves on", "module", m.module.Manifest().Name, "path", m.wanted.Path, "error", err)
}

// note takes note of why what is wanted does not serve.
func (m *Module) note(problem string) {
	m.set.mu.Lock()
	defer m.set.mu.Unlock()
	m.failed = problem
}

func listens(m wasmhost.Manifest) bool {
	return slices.Contains(m.Events, wasmhost.EventConnect.String())
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
