package core

import "time"

// An Observer is told what happens in an application, for metrics. A function that is nil is not called, and what it
// would have cost is not spent.
//
// The functions are called wherever it happens: by any goroutine, by several at a time, and for each request. So they must be quick,
// must not wait, and must not call anything of this package but what they are given.
type Observer struct {
	// Request is called when a request that a peer has sent gets its final response. route is what [Request.Route] says then, ""
	// also for a request that no handler has seen; took is the time since the request was read, see [Loop.Read].
	Request func(route string, status int, took time.Duration)
	// Transaction is called when a request that was sent to a peer gets its final response, with the time since Send.
	Transaction func(final *Response, took time.Duration)
}

// A TransportObserver is told what happens to the connections of a transport's server, as an [Observer] is told of an application and
// with the same duties. transport is what [ConnectRequest] calls it.
//
// Each connection is either refused or opened; one that was opened is closed later.
type TransportObserver struct {
	// Opened is called when a connection is a peer's.
	Opened func(transport string)
	// Refused is called when there will be no connection: with the HTTP status of the refusal, or with 0 when the client
	// has gone in the middle of the handshake.
	Refused func(transport string, status int)
	// Closed is called when nothing of a connection is left, with the code of the first close: ours tells whether it was
	// this side's, or a loss of the connection that this side has found (1006).
	Closed func(transport string, code int, ours bool)
	// RTT is called with the time that a sign of life took to the other side and back.
	RTT func(transport string, took time.Duration)
	// LoopDelay is called some times a second with how long an event had to wait until the goroutine that reads from many connections
	// came to it.
	LoopDelay func(took time.Duration)
}

// epoch is what clock counts from. To read the time since it costs half of what time.Now does.
var epoch = time.Now()

func clock() time.Duration { return time.Since(epoch) }

// observed tells the observer, if there is one, that a request has got its final response.
func (a *App) observed(route string, status int, began time.Duration) {
	if a.observe.Request != nil {
		a.observe.Request(route, status, clock()-began)
	}
}

// Route returns the patterns of the layers around the handler that has the request, or had it last, as one: of a router with the route
// "/:id" that is mounted at "/rooms" it is "/rooms/:id". It is "" when no handler was found. There are as many routes as
// layers, however many paths are requested, so they can be labels of metrics.
func (r *Request) Route() string {
	if r.walk == nil {
		return ""
	}
	return r.walk.route()
}

func (w *walk) route() string {
	if w.routed < 0 {
		return ""
	}
	l := w.stack.layers[w.routed]
	if w.parent == nil {
		return l.pattern
	}
	return l.below(w.parent.route())
}

// routeName is a layer's route in one of the places where its router is mounted.
type routeName struct{ mount, route string }

// below returns the route of a layer whose router is mounted at a route. It allocates once for each of those.
func (l *layer) below(mount string) string {
	known := l.routes.Load()
	if known != nil {
		for i := range *known {
			if n := &(*known)[i]; n.mount == mount {
				return n.route
			}
		}
	}
	route := joinRoutes(mount, l.pattern)
	var grown []routeName
	if known != nil {
		grown = append(grown, *known...)
	}
	grown = append(grown, routeName{mount, route})
	l.routes.CompareAndSwap(known, &grown) // or another has added one, and this one is added the next time
	return route
}

func joinRoutes(mount, pattern string) string {
	switch {
	case mount == "/" || mount == "":
		return pattern
	case pattern == "/":
		return mount
	}
	return mount + pattern
}

// Backlog is what waits in an application, summed over all peers.
type Backlog struct {
	Requests     int // that peers have sent and that have no final response yet
	Transactions int // that peers have yet to answer
	Held         int // bytes that wait for peers in their grace period
	Queued       int // bytes that wait to be written to connections, of those that can tell
}

// Backlog sums up what waits at this moment. It looks at every peer, so it takes some tenths of a
// second when there are a million.
//
// A [Conn] tells how many bytes wait to be written by a method Queued() int, which it need not have.
func (a *App) Backlog() Backlog {
	var b Backlog
	a.Peers("", "", func(p *Peer) {
		p.mu.Lock()
		b.Requests += int(p.inProgress)
		b.Transactions += len(p.pending)
		if p.absence != nil {
			b.Held += p.absence.heldSize
		}
		var conn Conn
		if p.link != nil {
			conn = p.link.conn
		}
		p.mu.Unlock()
		if c, ok := conn.(interface{ Queued() int }); ok {
			b.Queued += c.Queued()
		}
	})
	return b
}
