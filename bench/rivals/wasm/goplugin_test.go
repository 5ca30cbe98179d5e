package wasm

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/protoo-go/protoo/bench/rivals/wasm/middleware"
)

type pluginModule struct {
	plugin  *middleware.MiddlewarePlugin
	file    string
	cache   wazero.CompilationCache
	options options
	first   plugin // keeps what is compiled in the cache
}

// loadGoPlugin gives go-plugin runtimes that share what is compiled, since each plugin has one of its own. It has no limits but those
// of the runtime.
func loadGoPlugin(o options) (loaded, error) {
	file, err := goGuest("goplugin")
	if err != nil {
		return nil, err
	}
	m := &pluginModule{file: file, cache: wazero.NewCompilationCache(), options: o}
	m.plugin, err = middleware.NewMiddlewarePlugin(context.Background(), middleware.WazeroRuntime(func(ctx context.Context) (wazero.Runtime, error) {
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(m.cache).
			WithCloseOnContextDone(o.limit > 0).WithMemoryLimitPages(memoryPages))
		_, err := wasi_snapshot_preview1.Instantiate(ctx, r)
		return r, err
	}))
	if err != nil {
		return nil, err
	}
	m.first, err = m.plugin.Load(context.Background(), file)
	return m, err
}

func (m *pluginModule) instance(ctx context.Context) (subject, error) {
	p, err := m.plugin.Load(ctx, m.file)
	return &pluginInstance{p, m.options}, err
}

func (m *pluginModule) close() error {
	ctx := context.Background()
	return errors.Join(m.first.Close(ctx), m.cache.Close(ctx))
}

type plugin interface {
	middleware.Middleware
	Close(ctx context.Context) error
}

type pluginInstance struct {
	plugin  plugin
	options options
}

func (s *pluginInstance) context() (context.Context, context.CancelFunc) {
	if s.options.limit > 0 {
		return context.WithTimeout(context.Background(), s.options.limit)
	}
	return context.Background(), func() {}
}

func (s *pluginInstance) request(r *request) error {
	ctx, cancel := s.context()
	defer cancel()
	id := r.id
	if s.options.runaway != "" {
		id = s.options.runaway
	}
	v, err := s.plugin.OnRequest(ctx, &middleware.Request{Method: r.method, Path: r.path, Id: id, Room: r.room, Data: r.data, Peer: r.peer})
	if err != nil {
		return err
	}
	r.path = v.GetPath()
	return nil
}

func (s *pluginInstance) response(status int) error {
	ctx, cancel := s.context()
	defer cancel()
	_, err := s.plugin.OnResponse(ctx, &middleware.Response{Status: uint32(status)})
	return err
}

func (s *pluginInstance) close() error { return s.plugin.Close(context.Background()) }
