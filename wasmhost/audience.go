package wasmhost

import (
	"slices"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// An audience is the modules that hear of an application's peers, in the order in which they were loaded. An application keeps a
// listener for good, so a host has one for all of its modules.
type audience struct {
	mu      sync.Mutex
	modules []*Module // replaced under mu, and never changed
}

// attend makes a module hear of the peers of its application.
func (h *Host) attend(m *Module) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.audiences[m.app]
	if a == nil {
		a = &audience{}
		h.audiences[m.app] = a
		m.app.OnOnline(func(p *core.Peer) { a.tell(EventOnline, p) })
		m.app.OnOffline(func(p *core.Peer) { a.tell(EventOffline, p) })
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.modules = append(slices.Clip(a.modules), m)
}

// leave is the end of attend.
func (a *audience) leave(m *Module) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.modules = slices.DeleteFunc(slices.Clone(a.modules), func(other *Module) bool { return other == m })
}

func (a *audience) tell(kind Event, p *core.Peer) {
	a.mu.Lock()
	modules := a.modules
	a.mu.Unlock()
	for _, m := range modules {
		m.presence(kind, p)
	}
}
