package websocket

import (
	"net/http"
	"net/netip"
	"sync"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/admission"
)

// A gate counts a server's connections, and the handshakes that accept is being asked about,
// against the server's limits. A limit of 0 is none.
type gate struct {
	connections int
	perAddress  int
	handshakes  int

	mu     sync.Mutex
	inside int
	asking int
	guests map[netip.Addr]*guest // those of perAddress
}

// guest is an address with connections.
type guest struct {
	addr  netip.Addr
	count int
}

// enter makes room for a connection from an address as http.Request has it, and for its handshake. Unless it is
// refused, decided must follow, and leave at the connection's end.
func (g *gate) enter(remote string) (*guest, *core.StatusError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.connections > 0 && g.inside >= g.connections {
		return nil, &core.StatusError{Status: http.StatusServiceUnavailable, Reason: "too many connections"}
	}
	if g.handshakes > 0 && g.asking >= g.handshakes {
		return nil, &core.StatusError{Status: http.StatusServiceUnavailable, Reason: "too many handshakes"}
	}
	var from *guest
	if g.perAddress > 0 {
		if addr := admission.Network(remote); addr.IsValid() {
			from = g.guests[addr]
			if from == nil {
				from = &guest{addr: addr}
				g.guests[addr] = from
			}
			if from.count >= g.perAddress {
				return nil, &core.StatusError{Status: http.StatusTooManyRequests, Reason: "too many connections from your address"}
			}
			from.count++
		}
	}
	g.inside++
	g.asking++
	return from, nil
}

// decided ends a handshake.
func (g *gate) decided() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking--
}

func (g *gate) leave(from *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if from == nil {
		return
	}
	if from.count--; from.count == 0 {
		delete(g.guests, from.addr)
	}
}
