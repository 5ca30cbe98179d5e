package wasmhost

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/protoo-go/protoo/core"
)

// Options are a host's. The zero value works.
type Options struct {
	// CacheDir keeps compiled modules on disk, so that they are compiled once and not at every start. Nobody else
	// may be able to write to it: what is in it is run as machine code. By default they are kept in memory.
	CacheDir string
	// OnLog gets what modules log and print. It is called while a module runs, by any goroutine, so it must be quick.
	OnLog func(LogEntry)
	// OnError gets every failure of a module, also those that handlers return. It is called by any goroutine.
	OnError func(*Error)
}

// A Host runs modules. They share what has been compiled, and nothing else.
type Host struct {
	options Options
	cache   wazero.CompilationCache
	long    chan struct{} // has an element for each call that takes long: they leave a processor to all others, if there are two

	mu        sync.Mutex
	closed    bool
	modules   map[*Module]struct{}
	audiences map[*core.App]*audience
	loading   sync.WaitGroup
}

// New returns a host without modules. It fails if the directory for compiled modules cannot be used.
func New(o Options) (*Host, error) {
	h := &Host{options: o, modules: make(map[*Module]struct{}), audiences: make(map[*core.App]*audience), long: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
	if o.CacheDir == "" {
		h.cache = wazero.NewCompilationCache()
		return h, nil
	}
	var err error
	h.cache, err = wazero.NewCompilationCacheWithDir(o.CacheDir)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Load makes a module ready to serve from the contents of its file: it checks whether it is the one that is
// expected and whether what it asks for is granted, compiles it, makes an instance and lets that test itself. It fails
// with an [*Error]. The context is looked at between these steps, and between functions while they are compiled.
func (h *Host) Load(ctx context.Context, file []byte, o ModuleOptions) (*Module, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	h.loading.Add(1)
	h.mu.Unlock()
	defer h.loading.Done()
	m := &Module{host: h, app: o.App}
	m.versionsChanged.L = &m.mu
	v, err := m.load(ctx, file, o)
	if err != nil {
		return nil, err
	}
	m.current.Store(v)
	h.mu.Lock()
	h.modules[m] = struct{}{}
	h.mu.Unlock()
	if o.App != nil {
		h.attend(m)
	}
	return m, nil
}

// Close closes all modules, see [Module.Close], and gives back what was compiled. The host cannot be used any more.
func (h *Host) Close() error {
	h.mu.Lock()
	closed := h.closed
	h.closed = true
	h.mu.Unlock()
	if closed {
		return ErrClosed
	}
	h.loading.Wait()
	h.mu.Lock()
	modules := slices.Collect(maps.Keys(h.modules))
	h.mu.Unlock()
	for _, m := range modules {
		_ = m.Close() // can only say that it is closed already
	}
	return h.cache.Close(context.Background())
}

func (h *Host) forget(m *Module) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.modules, m)
	if a := h.audiences[m.app]; a != nil {
		a.leave(m)
	}
}
