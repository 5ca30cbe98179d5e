// Package modules keeps the WebAssembly modules of protoo-edge: it loads them, replaces those whose file or options have
// changed without losing a request, and tells how they are.
package modules

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/throttle"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
)

// A Set is the modules of one server. Any goroutine may use it.
type Set struct {
	app  *core.App
	log  *slog.Logger
	host *wasmhost.Host
	keys []ed25519.PublicKey

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	watcher sync.WaitGroup

	loading sync.Mutex // held while anything is loaded, which can take seconds
	mu      sync.Mutex // held for a moment, after loading
	modules []*Module
}

// New returns a set without modules. They find the peers of app, and what they log goes to log.
func New(cfg *config.Config, app *core.App, log *slog.Logger) (*Set, error) {
	s := &Set{app: app, log: log}
	for _, text := range cfg.Wasm.PublicKeys {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	l := &hostLog{log: log, throttles: make(map[string]*throttle.Throttle)}
	var err error
	s.host, err = wasmhost.New(wasmhost.Options{CacheDir: cfg.Wasm.Cache, OnLog: l.line, OnError: l.failure})
	if err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Load loads the module of an entry of the configuration.
func (s *Set) Load(entry *config.Middleware) (*Module, error) {
	m := &Module{set: s, wanted: entry}
	info, file, err := read(entry.Wasm.File)
	if err != nil {
		return nil, err
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if m.module, err = s.host.Load(s.ctx, file, s.options(entry)); err != nil {
		return nil, explain(entry.Wasm.File, err)
	}
	m.seen = info
	m.serve(entry, file)
	s.mu.Lock()
	s.modules = append(s.modules, m)
	s.mu.Unlock()
	if !entry.Wasm.Connect && listens(m.module.Manifest()) {
		s.log.Warn("the module would decide who may connect, and is not asked without connect: true",
			"module", m.module.Manifest().Name, "file", entry.Wasm.File)
	}
	return m, nil
}

// Len returns how many modules there are.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.modules)
}

// Reload reads the files of all modules again and applies what the entries say now. They are those of the modules, in the
// order in which these were loaded. A module for which that fails goes on as it is.
func (s *Set) Reload(entries []*config.Middleware) {
	s.loading.Lock()
	defer s.loading.Unlock()
	for i, m := range s.modules {
		m.note("") // who asks for it is told again
		m.reload(entries[i])
	}
}

// Watch looks at the files of the modules at an interval until the set is closed, and loads again what has changed.
func (s *Set) Watch(interval time.Duration) {
	s.watcher.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-ticker.C:
				s.look()
			}
		}
	})
}

func (s *Set) look() {
	s.loading.Lock()
	defer s.loading.Unlock()
	for _, m := range s.modules {
		m.look()
	}
}

// Close ends all modules, and waits until they have.
func (s *Set) Close() {
	s.cancel()
	s.watcher.Wait()
	if err := s.host.Close(); err != nil && !errors.Is(err, wasmhost.ErrClosed) {
		s.log.Error("closing the host of modules", "error", err)
	}
}

// options are what an entry comes to. Its zero limits are the host's defaults.
func (s *Set) options(entry *config.Middleware) wasmhost.ModuleOptions {
	w := &entry.Wasm
	o := wasmhost.ModuleOptions{
		App:        s.app,
		Settings:   core.JSON(w.Settings),
		OnError:    wasmhost.OnError(w.OnError),
		SHA256:     w.SHA256,
		PublicKeys: s.keys,
		Limits: wasmhost.Limits{
			Fuel:           int64(w.Limits.Fuel),
			InitFuel:       int64(w.Limits.InitFuel),
			Memory:         int64(w.Limits.Memory),
			Frame:          w.Limits.Frame,
			File:           w.Limits.File,
			Instances:      w.Limits.Instances,
			PendingTimeout: w.Limits.PendingTimeout,
		},
	}
	if w.Connect { // one that did not decide about connections would let the identity behind it decide
		o.Events = []wasmhost.Event{wasmhost.EventConnect}
	}
	for _, grant := range w.Grants {
		o.Grants = append(o.Grants, wasmhost.Capability(grant))
	}
	return o
}
