package webtransport

import (
	"net/netip"
	"time"
)

// A Gate is a gate, for tests.
type Gate struct{ *gate }

// A Visitor is a visitor, for tests.
type Visitor struct{ *visitor }

// NewGate returns a gate with a limit for each address.
func NewGate(perAddress int) Gate {
	return Gate{&gate{perAddress: perAddress, guests: make(map[netip.Addr]*guest)}}
}

// Enter returns nil if there is no room.
func (g Gate) Enter(remote string) *Visitor {
	v, refused := g.enter(remote)
	if refused != nil {
		return nil
	}
	return &Visitor{v}
}

// Addresses returns how many have connections.
func (g Gate) Addresses() int { return len(g.guests) }

// Moved tells whether there was room at another address.
func (v *Visitor) Moved(remote string) bool { return v.moved(remote) }

// Leave ends a visit.
func (v *Visitor) Leave() { v.leave() }

// SetPatience says how long a connection to Serve may ask for nothing.
func (s *Server) SetPatience(d time.Duration) { s.patience = d }

// Addresses returns how many have connections.
func (s *Server) Addresses() int {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return len(s.gate.guests)
}
