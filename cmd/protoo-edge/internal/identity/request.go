package identity

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/core"
)

// Method is that of the request with which a connection says who it is, or a peer replaces its token.
const Method = "authenticate"

// deciding is how long a place in the lobby is kept for a connection after its first request should have come.
const deciding = time.Minute

// admitUnknown lets a connection in that has no token.
func (g *Gate) admitUnknown(rules *rules, a *attempt) (core.Identity, error) {
	o := &rules.FirstMessage
	t, err := g.lobby.enter(a.request.RemoteAddr, o.Max, o.MaxPerAddress, o.Timeout+deciding)
	if err != nil {
		return core.Identity{}, g.refuse(err)
	}
	g.counters.decisions[Deferred].Add(1)
	var asked atomic.Bool
	// What is kept of the handshake is what the decision needs.
	return core.Identity{Introduction: &core.Introduction{
		Timeout: o.Timeout,
		Accept: func(req *core.Request) (core.Identity, error) {
			asked.Store(true)
			rules := g.rules.Load()
			if err := a.introduce(req, rules.Path); err != nil {
				return core.Identity{}, g.refuse(err)
			}
			return g.identify(req.Context(), rules, a)
		},
		Ended: func() {
			t.leave()
			if !asked.Load() {
				g.counters.decisions[Silent].Add(1)
			}
		},
	}}, nil
}

// introduce reads the first request.
func (a *attempt) introduce(req *core.Request, path string) error {
	if req.Method() != Method || req.OriginalPath() != path {
		return &denial{Missing, http.StatusUnauthorized, fmt.Sprintf("the first request has to be %s at %s", Method, path)}
	}
	return a.read(req)
}

// read takes the token from a request.
func (a *attempt) read(req *core.Request) error {
	var data struct {
		Token string `json:"token"`
		UUID  string `json:"uuid"`
	}
	if err := req.Bind(&data); err != nil || data.Token == "" {
		return &denial{Malformed, http.StatusBadRequest, `data must be {"token":"..."}`}
	}
	a.token = data.Token
	if data.UUID != "" {
		a.uuid = data.UUID
	}
	return nil
}

// Handle is a [core.Handler] for the path of Options. It replaces a peer's token by a fresh one of the same user and device; other requests
// go on. A token that is not good changes nothing.
func (g *Gate) Handle(req *core.Request, next core.Next) error {
	rules := g.rules.Load()
	if req.Method() != Method || rules.decider == nil {
		next()
		return nil
	}
	p := req.Peer()
	a := &attempt{peer: p, uuid: p.UUID()}
	granted, err := g.refresh(req, rules, a)
	if err != nil {
		return g.refuse(err)
	}
	for name, value := range granted.data {
		p.Data().Set(name, value)
	}
	g.connected(p, granted)
	if g.app.Peer(p.Username(), p.UUID()) != p {
		g.sessions.remove(p) // it has gone meanwhile
	}
	g.counters.refreshed.Add(1)
	return req.Reply(http.StatusOK, "OK", map[string]string{"username": granted.username, "uuid": granted.uuid})
}

func (g *Gate) refresh(req *core.Request, rules *rules, a *attempt) (*grant, error) {
	if err := a.read(req); err != nil {
		return nil, err
	}
	granted, err := g.decide(req.Context(), rules, a)
	if err != nil {
		return nil, err
	}
	if granted.username != a.peer.Username() || granted.uuid != a.peer.UUID() {
		return nil, &denial{WrongPeer, http.StatusForbidden, "the token is of another user or device"}
	}
	return granted, nil
}
