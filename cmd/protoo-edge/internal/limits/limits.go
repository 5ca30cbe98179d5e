// Package limits bounds what the clients of all transports together may use up: connections, handshakes, requests and bytes.
//
// A [Limits] is in front of the transports' handlers (Handler), around what decides who may connect (Accept), and the meter of each
// connection. Everything it refuses is counted by its cause. What it holds of strangers is bounded, and its options can change at any time.
package limits

import (
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/core"
)

// Options are the limits. Those that are zero do not exist.
type Options struct {
	// Connections bounds the connections, handshakes included; more are refused with 503.
	Connections int
	// ConnectionsPerAddress bounds those from one address; more are refused with 429.
	ConnectionsPerAddress int
	// HTTPConnections bounds the TCP connections over which nobody is connected yet, HTTPConnectionsPerAddress those from one
	// address; more are closed at once.
	HTTPConnections, HTTPConnectionsPerAddress int
	// ConnectionsPerUser bounds the devices of one user that are online; more are refused with 429.
	ConnectionsPerUser int
	// Handshakes and HandshakesPerAddress bound the attempts to connect; more are refused with 503 and with 429.
	Handshakes, HandshakesPerAddress Rate
	// IPv6Prefix is how many bits of an IPv6 address are the network that is counted as one address, 1 to 128; 0 is 64.
	IPv6Prefix int
	// Exempt are the addresses that Handshakes and the limits per address do not concern.
	Exempt []netip.Prefix

	// Requests bounds those of one connection; more are answered with 429.
	Requests Rate
	// Bytes bounds what comes over one connection: messages of all kinds count, and what cannot be refused is owed. A request
	// while something is owed is answered with 429.
	Bytes Rate
	// Patience is how long a connection may go on over its limits. It is closed when as many of its requests were refused as the limit
	// allows in this time, but no fewer than 100, all of which are forgiven in ten times as long; or when it
	// owes more bytes than it may send in this time. Zero is for ever.
	Patience time.Duration
}

// A Cause is a limit by whose fault something was refused, by the name of its setting.
type Cause string

// The causes.
const (
	Connections               Cause = "connections"
	ConnectionsPerAddress     Cause = "connections_per_address"
	ConnectionsPerUser        Cause = "connections_per_user"
	HTTPConnections           Cause = "http_connections"
	HTTPConnectionsPerAddress Cause = "http_connections_per_address"
	Handshakes                Cause = "handshakes_per_second"
	HandshakesPerAddress      Cause = "handshakes_per_second_per_address"
	Requests                  Cause = "requests_per_second"
	Bytes                     Cause = "bytes_per_second"
	Path                      Cause = "path"     // a Rule's
	Patience                  Cause = "patience" // connections that were closed
)

// CloseTooMany is what a connection is closed with that is beyond ConnectionsPerUser and was not noticed before: 4000 and the HTTP
// status 429, as WebTransport has it for pages that are refused.
const CloseTooMany = 4429

// A Limits counts what there is against its options.
type Limits struct {
	app     *core.App
	begin   time.Time
	options atomic.Pointer[Options]

	attempts  bucket             // of Handshakes
	attempted *table[netip.Addr] // of HandshakesPerAddress
	debts     *table[debtor]     // what closed connections have left behind
	refused   map[Cause]*atomic.Uint64

	mu     sync.Mutex
	inside int
	guests map[netip.Addr]*guest

	http     map[net.Conn]netip.Addr // over which nobody is connected yet; where from, not valid if that does not matter
	httpFrom map[netip.Addr]int
}

// guest is an address with connections.
type guest struct {
	addr  netip.Addr
	count int
}

// New returns the limits of an application. It is to be made before peers connect.
func New(app *core.App, o Options) *Limits {
	l := &Limits{
		app:       app,
		begin:     time.Now(),
		attempted: newTable[netip.Addr](),
		debts:     newTable[debtor](),
		refused:   make(map[Cause]*atomic.Uint64),
		guests:    make(map[netip.Addr]*guest),
		http:      make(map[net.Conn]netip.Addr),
		httpFrom:  make(map[netip.Addr]int),
	}
	for _, cause := range []Cause{
		Connections, ConnectionsPerAddress, ConnectionsPerUser, HTTPConnections, HTTPConnectionsPerAddress,
		Handshakes, HandshakesPerAddress, Requests, Bytes, Path, Patience,
	} {
		l.refused[cause] = new(atomic.Uint64)
	}
	l.Set(o)
	app.OnOnline(l.online)
	return l
}

// Set changes the options, for whoever is connected as well. Who is beyond a limit for connections now may stay. Any goroutine may
// call it.
func (l *Limits) Set(o Options) {
	if o.IPv6Prefix == 0 {
		o.IPv6Prefix = 64
	}
	l.options.Store(&o)
}

// Stats are figures of the moment.
type Stats struct {
	Connections int              // of all transports, handshakes included
	Addresses   int              // that they come from
	HTTP        int              // connections over which nobody is connected yet
	Refused     map[Cause]uint64 // since the start; each cause is there
}

// Stats returns the figures. Any goroutine may call it.
func (l *Limits) Stats() Stats {
	l.mu.Lock()
	s := Stats{Connections: l.inside, Addresses: len(l.guests), HTTP: len(l.http)}
	l.mu.Unlock()
	s.Refused = maps.Collect(func(yield func(Cause, uint64) bool) {
		for cause, n := range l.refused {
			if !yield(cause, n.Load()) {
				return
			}
		}
	})
	return s
}

func (l *Limits) now() time.Duration { return time.Since(l.begin) }

func (l *Limits) count(cause Cause) { l.refused[cause].Add(1) }
