package identity

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/core"
)

// Options say who is let in.
type Options struct {
	Type     string // "jwt", "static" or "http"; with any other, a gate only knows what is revoked
	Query    string // the parameter of the query that has the token, "" for none
	MaxToken int    // bytes
	Path     string // of the requests with [Method]

	// FirstMessage lets connections in that have no token, so that their first request has it.
	FirstMessage struct {
		Enabled       bool
		Timeout       time.Duration
		Max           int
		MaxPerAddress int
	}

	JWT    JWT
	Static struct{ Users []string } // each is NAME:SECRET
	HTTP   Hook

	Revocations struct {
		Max  int
		Life time.Duration
	}

	// Transport is what is used for HTTP, by default one like http.DefaultTransport.
	Transport http.RoundTripper
	// Report, if it is not nil, is told of what an operator should know, such as keys that could not be fetched. No error has a part of a
	// token in it. Any goroutine may call it.
	Report func(error)
}

// An OptionError is a mistake in Options.
type OptionError struct {
	Key string // such as "jwt.keys"
	Err error
}

func (e *OptionError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *OptionError) Unwrap() error { return e.Err }

// A decider knows who may come in. Its errors are of type *denial.
type decider interface {
	decide(context.Context, *attempt) (*grant, error)
	close()
}

// A Gate lets connections in, and peers stay, as long as they may. Its methods may be called by any goroutine.
type Gate struct {
	// Revocations are what is refused in spite of all.
	Revocations *Revocations

	app      *core.App
	sessions *sessions
	lobby    *lobby
	counters counters
	rules    atomic.Pointer[rules]
}

// rules are what a reload replaces.
type rules struct {
	Options
	decider decider // nil where the gate does not decide
}

// New returns a gate for the connections of an application. It fails with an [*OptionError].
func New(app *core.App, o Options) (*Gate, error) {
	g := &Gate{app: app, lobby: newLobby()}
	g.sessions = newSessions(func(p *core.Peer) {
		g.counters.ended.Add(1)
		_ = p.Close(CloseExpired, reasonExpired)
	})
	g.Revocations = newRevocations(o.Revocations.Max, o.Revocations.Life, g.revoke)
	decider, err := newDecider(o, nil)
	if err != nil {
		return nil, err
	}
	g.rules.Store(&rules{o, decider})
	app.OnOffline(g.sessions.remove)
	return g, nil
}

func newDecider(o Options, old decider) (decider, error) {
	report := o.Report
	if report == nil {
		report = func(error) {}
	}
	switch o.Type {
	case "jwt":
		v, _ := old.(*verifier)
		next, err := newVerifier(o.JWT, v, o.Transport, report)
		if err != nil {
			return nil, err
		}
		return next, nil
	case "static":
		next, err := newRoll(o.Static.Users)
		if err != nil {
			return nil, err
		}
		return next, nil
	case "http":
		next, err := newHook(o.HTTP, o.Transport, report)
		if err != nil {
			return nil, err
		}
		return next, nil
	}
	return nil, nil
}

// Reload reads the files that o names, and returns what makes o take effect. Until that is called nothing has changed. The type and the
// path cannot change: if the type does, the result does nothing.
func (g *Gate) Reload(o Options) (apply func(), err error) {
	old := g.rules.Load()
	if o.Type != old.Type {
		return func() {}, nil
	}
	o.Path = old.Path
	next, err := newDecider(o, old.decider)
	if err != nil {
		return nil, err
	}
	return func() {
		g.Revocations.limit(o.Revocations.Max, o.Revocations.Life)
		g.rules.Store(&rules{o, next})
		if old.decider != nil && !sameSource(old.decider, next) {
			old.decider.close()
		}
	}, nil
}

// sameSource tells whether two deciders share what is closed with one of them.
func sameSource(a, b decider) bool {
	v, ok := a.(*verifier)
	w, also := b.(*verifier)
	if !ok || !also {
		return false
	}
	r, ok := v.source.(*remote)
	return ok && w.source == source(r)
}

// Close ends what runs in the background. What was let in stays.
func (g *Gate) Close() {
	if d := g.rules.Load().decider; d != nil {
		d.close()
	}
	g.sessions.close()
}

// Accept is a [core.Accept]: it decides by what the handshake says, or by the connection's first request.
func (g *Gate) Accept(r *core.ConnectRequest) (core.Identity, error) {
	rules := g.rules.Load()
	a := newAttempt(r, rules.Query)
	if a.empty() && rules.FirstMessage.Enabled {
		return g.admitUnknown(rules, a)
	}
	return g.identify(r.Context, rules, a)
}

// identify lets somebody in. Its errors are rejections.
func (g *Gate) identify(ctx context.Context, rules *rules, a *attempt) (core.Identity, error) {
	granted, err := g.decide(ctx, rules, a)
	if err != nil {
		return core.Identity{}, g.refuse(err)
	}
	g.counters.decisions[OK].Add(1)
	return core.Identity{
		Username:  granted.username,
		UUID:      granted.uuid,
		Data:      granted.data,
		Connected: func(p *core.Peer) { g.connected(p, granted) },
	}, nil
}

func (g *Gate) decide(ctx context.Context, rules *rules, a *attempt) (*grant, error) {
	if err := a.check(rules.MaxToken); err != nil {
		return nil, err
	}
	granted, err := rules.decider.decide(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := granted.check(); err != nil {
		return nil, err
	}
	id := core.Identity{Username: granted.username, UUID: granted.uuid}
	if g.Revocations.revoked(id, granted.tokenID, granted.issued) {
		return nil, revoked
	}
	return granted, nil
}

var revoked = &denial{Revoked, http.StatusForbidden, reasonRevoked}

// refuse counts why somebody is not let in.
func (g *Gate) refuse(err error) error {
	d, ok := errors.AsType[*denial](err)
	if !ok {
		return err
	}
	g.counters.decisions[d.outcome].Add(1)
	return d.rejection()
}

// connected takes note of a peer's token. It may have been revoked since it was checked.
func (g *Gate) connected(p *core.Peer, granted *grant) {
	g.sessions.set(p, granted)
	id := core.Identity{Username: granted.username, UUID: granted.uuid}
	if g.Revocations.revoked(id, granted.tokenID, granted.issued) {
		g.close(p)
	}
}

func (g *Gate) close(p *core.Peer) {
	g.counters.closed.Add(1)
	_ = p.Close(CloseRevoked, reasonRevoked)
}

// revoke closes the peers that a revocation is about.
func (g *Gate) revoke(what Revocation) int {
	var found []*core.Peer
	if what.TokenID != "" {
		found = g.sessions.with(what.TokenID)
	} else {
		g.app.Peers(what.Username, what.UUID, func(p *core.Peer) {
			if what.concerns(g.sessions.issued(p)) {
				found = append(found, p)
			}
		})
	}
	for _, p := range found {
		g.close(p)
	}
	return len(found)
}

// Guard refuses whoever is revoked, where others have decided to let them in: it stands directly around Accept and what is asked before it.
func (g *Gate) Guard(behind core.Accept) core.Accept {
	return func(r *core.ConnectRequest) (core.Identity, error) {
		id, err := behind(r)
		if err != nil || id.Introduction != nil || id.Connected != nil {
			return id, err // the gate has looked, or will
		}
		if g.Revocations.revoked(id, "", time.Time{}) {
			return core.Identity{}, g.refuse(revoked)
		}
		id.Connected = func(p *core.Peer) { g.connected(p, &grant{username: p.Username(), uuid: p.UUID()}) }
		return id, nil
	}
}

// Stats returns the figures of this moment.
func (g *Gate) Stats() Stats {
	s := Stats{
		Refreshed:    g.counters.refreshed.Load(),
		Ended:        g.counters.ended.Load(),
		Closed:       g.counters.closed.Load(),
		Unidentified: g.lobby.len(),
		Tracked:      g.sessions.len(),
		Revocations:  g.Revocations.Len(),
	}
	for o := range s.Decisions {
		s.Decisions[o] = g.counters.decisions[o].Load()
	}
	return s
}

// Decides tells whether Accept does: whether the type is one that the gate knows.
func (g *Gate) Decides() bool { return g.rules.Load().decider != nil }
