package webtransport

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/admission"
)

// A gate counts a server's connections against its limits. A limit of 0 is none.
//
// A connection that has not asked for anything yet is a stranger: it may be in the middle of its handshake, its address may be
// false, or it may never be going to ask. There is a limit for those of everybody, and a smaller one for those of one address. Before
// either is reached, addresses have to be proven, which costs a round trip (RFC 9000, section 8.1.2).
type gate struct {
	connections int
	perAddress  int
	handshakes  int

	mu        sync.Mutex
	inside    int
	strangers int
	asking    int // handshakes that accept is being asked about
	guests    map[netip.Addr]*guest
	retries   uint64
	refused   uint64
}

// guest is an address with connections.
type guest struct {
	addr      netip.Addr
	count     int
	strangers int
}

// visitor is a connection that was let in.
type visitor struct {
	gate     *gate
	from     *guest // nil for what is no IP address
	stranger bool
	left     bool
}

// The limits for strangers, as parts of the one for handshakes.
const (
	strangersOfOne = 8  // what one address may have
	provenOfOne    = 64 // from where on it has to prove itself
	provenOfAll    = 16 // from where on all have to
)

// suspects tells whether an address has to be proven before anything else is done for it.
func (g *gate) suspects(addr net.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.guests[admission.Network(addr.String())]
	suspect := g.handshakes > 0 && g.strangers >= g.handshakes/provenOfAll
	if from != nil {
		suspect = suspect || g.handshakes > 0 && from.strangers >= g.handshakes/provenOfOne
		// Or somebody who writes this address on packets could use its share up.
		suspect = suspect || g.perAddress > 0 && from.count >= g.perAddress/2
	}
	if suspect {
		g.retries++
	}
	return suspect
}

var errFull = errors.New("webtransport: too many connections")

// knock lets a QUIC connection in whose handshake begins.
func (g *gate) knock(addr net.Addr) (*visitor, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.guest(addr.String())
	full := g.handshakes > 0 && g.strangers >= g.handshakes ||
		g.handshakes > 0 && from != nil && from.strangers >= max(g.handshakes/strangersOfOne, 1)
	if full || g.full(from) != nil {
		g.refused++
		return nil, errFull
	}
	v := &visitor{gate: g, from: from, stranger: true}
	g.strangers++
	if from != nil {
		from.strangers++
	}
	g.add(v)
	return v, nil
}

// enter lets a connection in that was not counted when its handshake began.
func (g *gate) enter(remote string) (*visitor, *core.StatusError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.guest(remote)
	if refused := g.full(from); refused != nil {
		g.refused++
		return nil, refused
	}
	v := &visitor{gate: g, from: from}
	g.add(v)
	return v, nil
}

// full says why there is no room for another connection, if so. g.mu is held, as for the next three.
func (g *gate) full(from *guest) *core.StatusError {
	switch {
	case g.connections > 0 && g.inside >= g.connections:
		return &core.StatusError{Status: http.StatusServiceUnavailable, Reason: "too many connections"}
	case g.perAddress > 0 && from != nil && from.count >= g.perAddress:
		return &core.StatusError{Status: http.StatusTooManyRequests, Reason: "too many connections from your address"}
	}
	return nil
}

// guest returns whom an address is counted as. It is in the map only while it has connections.
func (g *gate) guest(remote string) *guest {
	addr := admission.Network(remote)
	if !addr.IsValid() {
		return nil
	}
	if from := g.guests[addr]; from != nil {
		return from
	}
	return &guest{addr: addr}
}

func (g *gate) add(v *visitor) {
	g.inside++
	if v.from != nil {
		v.from.count++
		g.guests[v.from.addr] = v.from
	}
}

func (g *gate) remove(v *visitor) {
	g.inside--
	if v.from == nil {
		return
	}
	if v.from.count--; v.from.count == 0 {
		delete(g.guests, v.from.addr)
	}
}

// ask makes room for a handshake that accept is asked about. decided must follow.
func (g *gate) ask() *core.StatusError {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.handshakes > 0 && g.asking >= g.handshakes {
		g.refused++
		return &core.StatusError{Status: http.StatusServiceUnavailable, Reason: "too many handshakes"}
	}
	g.asking++
	return nil
}

func (g *gate) decided() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking--
}

// known takes note that a connection has asked for something.
func (v *visitor) known() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.acquainted()
}

func (v *visitor) acquainted() {
	if !v.stranger {
		return
	}
	v.stranger = false
	v.gate.strangers--
	if v.from != nil {
		v.from.strangers--
	}
}

func (v *visitor) leave() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.acquainted()
	v.gate.remove(v)
	v.left = true
}

// moved counts a connection as another address's from now on. It fails when that has no room for it.
func (v *visitor) moved(remote string) bool {
	g := v.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	to := g.guest(remote)
	if v.left || to == nil || v.from == nil || to.addr == v.from.addr {
		return true
	}
	if g.perAddress > 0 && to.count >= g.perAddress {
		g.refused++
		return false
	}
	v.acquainted()
	g.remove(v)
	v.from = to
	g.add(v)
	return true
}
