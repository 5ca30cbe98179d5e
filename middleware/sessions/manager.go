package sessions

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// Options change how a Manager works. The zero value is what most applications want.
type Options struct {
	// Path is the pattern of the addresses to call, below the path where the manager is mounted. It
	// names the parameters username and uuid. Default "/:username/:uuid".
	Path string
	// MaxSessions bounds the sessions that one peer has set up and that have not ended; more are
	// answered with 429. Sessions that others have set up with the peer do not count, so that nobody can use
	// them up. Default 64, a negative number means no bound.
	MaxSessions int
}

// A Manager holds the sessions of an application. It is a router, to be mounted in the application;
// param handlers that are added to it see the username and uuid of who is called. Any goroutine may use it.
type Manager struct {
	*core.Router
	app *core.App
	max int

	mu       sync.Mutex
	sessions map[string]*Session // by path
	parties  map[*core.Peer]*party
	onState  []func(*Session, State)
}

// party is what a manager knows of a peer that has sessions.
type party struct {
	sessions map[*Session]struct{}
	calls    int // how many of them the peer has set up
}

// New returns a manager for the sessions of the application app, which it belongs to from then on. It panics if
// the path is malformed or does not name the username.
func New(app *core.App, o Options) *Manager {
	if o.Path == "" {
		o.Path = "/:username/:uuid"
	}
	if !strings.Contains(o.Path, ":username") {
		panic(fmt.Sprintf("sessions: path %q has no parameter :username", o.Path))
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = 64
	}
	m := &Manager{
		Router:   app.NewRouter(core.RouterOptions{}),
		app:      app,
		max:      o.MaxSessions,
		sessions: make(map[string]*Session),
		parties:  make(map[*core.Peer]*party),
	}
	m.All("/:id", m.handleInSession)
	m.Session(o.Path, m.handleSetup)
	app.OnOffline(m.peerOffline)
	return m
}

// OnState registers a listener for the states that sessions enter, [Connecting] being the first. The listeners for one
// session are called one after the other, in order, on any goroutine. One that waits holds up its
// session and nothing else. It may use the session.
func (m *Manager) OnState(fn func(*Session, State)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onState = append(slices.Clip(m.onState), fn)
}

// Count returns the number of sessions that have not ended.
func (m *Manager) Count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions)
}

// handleSetup takes the request that sets a session up.
func (m *Manager) handleSetup(req *core.Request, _ core.Next) error {
	callee, found := m.find(req.Param("username"), req.Param("uuid"))
	switch {
	case found == 0:
		return req.Reply(404, "peer not found")
	case found > 1:
		return req.Reply(484, fmt.Sprintf("user has %d devices, the path must name one", found))
	case callee == req.Peer():
		return req.Reply(400, "a peer cannot call itself")
	}
	// Under its new path the request belongs to the session, for both sides.
	if err := req.SetPath("/" + rand.Text()); err != nil {
		return core.Error(400, err.Error())
	}
	s := &Session{manager: m, path: req.OriginalPath(), caller: req.Peer(), callee: callee, setup: req}
	s.do(s.connect)
	return nil
}

// find returns a peer that is called, and how many others it could be.
func (m *Manager) find(username, uuid string) (callee *core.Peer, found int) {
	if username == "" {
		return nil, 0 // to Peers it would stand for every user
	}
	found = m.app.Peers(username, uuid, func(p *core.Peer) { callee = p })
	return callee, found
}

// handleInSession takes what is sent to a session's path.
func (m *Manager) handleInSession(req *core.Request, next core.Next) error {
	m.mu.Lock()
	s := m.sessions[req.OriginalPath()]
	m.mu.Unlock()
	switch {
	case s == nil:
		next()
		return nil
	case req.Peer() != s.caller && req.Peer() != s.callee:
		return req.Reply(403, "not a party to this session")
	}
	s.do(func() { s.receive(req) })
	return nil
}

// peerOffline ends the sessions of a peer that has gone.
func (m *Manager) peerOffline(p *core.Peer) {
	m.mu.Lock()
	var ended []*Session
	if party := m.parties[p]; party != nil {
		for s := range party.sessions {
			ended = append(ended, s)
		}
	}
	m.mu.Unlock()
	for _, s := range ended {
		s.do(func() { s.peerOffline(p) })
	}
}

// add enters a session, unless its caller has too many.
func (m *Manager) add(s *Session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	caller := m.party(s.caller)
	if m.max >= 0 && caller.calls >= m.max {
		return false
	}
	caller.calls++
	caller.sessions[s] = struct{}{}
	m.party(s.callee).sessions[s] = struct{}{}
	m.sessions[s.path] = s
	return true
}

// party returns what is known of a peer, which is nothing at first. m.mu is held.
func (m *Manager) party(p *core.Peer) *party {
	known := m.parties[p]
	if known == nil {
		known = &party{sessions: make(map[*Session]struct{})}
		m.parties[p] = known
	}
	return known
}

// remove forgets a session, if add has entered it.
func (m *Manager) remove(s *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[s.path] != s {
		return
	}
	delete(m.sessions, s.path)
	m.parties[s.caller].calls--
	for _, p := range [...]*core.Peer{s.caller, s.callee} {
		delete(m.parties[p].sessions, s)
		if len(m.parties[p].sessions) == 0 {
			delete(m.parties, p)
		}
	}
}

// notify tells the listeners, each of which survives the panic of another.
func (m *Manager) notify(s *Session, state State) {
	m.mu.Lock()
	listeners := m.onState
	m.mu.Unlock()
	for _, fn := range listeners {
		m.app.Guard(func() { fn(s, state) })
	}
}
