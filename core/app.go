package core

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Options are an application's initial settings and its limits. The zero value is
// what most applications want. A negative limit means none.
type Options struct {
	// The initial values of the settings; see their names.
	Env                  string
	CaseSensitiveRouting bool
	StrictRouting        bool
	GracePeriod          time.Duration

	// Timeout says how long a peer may take to answer a request with the given method.
	// By default, and where it returns 0, it is 120 s for "session" and 10 s for all others.
	Timeout func(method string) time.Duration

	// MaxRequests bounds the requests of one peer that have not got their final response;
	// more are answered with 429. Default 1,024.
	MaxRequests int
	// MaxRequestBytes bounds the bytes of the messages that these requests came in; more are answered with 429, unless
	// no other is in progress. Default 1 MiB.
	MaxRequestBytes int
	// MaxTransactions bounds the requests that one peer has yet to answer; more end with
	// a local 503. Default 16,384.
	MaxTransactions int
	// MaxHeld bounds the bytes that are held for a peer in its grace period. Default 256 KiB.
	MaxHeld int
	// MaxBadMessages is how many bad messages close a connection with 1007. Default 16.
	MaxBadMessages int

	// Observe is told of every request and transaction; nil if nobody is to be told.
	Observe *Observer

	// DropWhenSlow drops what does not fit into the queue of a peer that reads too
	// slowly. By default its connection is closed with 1013 "too slow".
	DropWhenSlow bool
	// TrustSender keeps the sender that an incoming request names. It is for clients,
	// whose only peer is the server; a server must not believe its peers.
	TrustSender bool
}

type limits struct{ requests, requestBytes, transactions, held, badMessages int }

func limit(n, standard int) int {
	switch {
	case n == 0:
		return standard
	case n < 0:
		return math.MaxInt
	}
	return n
}

// An App is a protoo application: settings, the router that every request enters, and the
// peers that are online.
type App struct {
	*Router

	settings     settings
	limits       limits
	timeout      func(string) time.Duration
	dropWhenSlow bool
	trustSender  bool
	observe      Observer
	stats        counters
	ids          atomic.Uint64
	links        atomic.Uint64
	watch        *watch
	listening    manners // of the listeners that loops call

	mu         sync.RWMutex
	closed     bool
	peers      map[peerKey]*Peer
	users      map[string]*Peer // the first of each user's ring of devices
	transports []io.Closer
	shut       bool // the transports are closed, and so is what comes later

	online     listeners[func(*Peer)]
	offline    listeners[func(*Peer)]
	disconnect listeners[func(*Peer, int, string)]
	reconnect  listeners[func(*Peer)]
	routeErr   listeners[func(error, *Request)]
	badMessage listeners[func(*Peer, error)]
}

// New returns an application without layers and peers.
func New(o Options) *App {
	a := &App{
		limits: limits{
			requests:     limit(o.MaxRequests, 1024),
			requestBytes: limit(o.MaxRequestBytes, 1<<20),
			transactions: limit(o.MaxTransactions, 16384),
			held:         limit(o.MaxHeld, 256<<10),
			badMessages:  limit(o.MaxBadMessages, 16),
		},
		timeout:      o.Timeout,
		dropWhenSlow: o.DropWhenSlow,
		trustSender:  o.TrustSender,
		peers:        make(map[peerKey]*Peer),
		users:        make(map[string]*Peer),
		watch:        newWatch(),
	}
	if o.Observe != nil {
		a.observe = *o.Observe
	}
	a.settings.init(o)
	a.ids.Store(uint64(rand.Uint32())) // so that no answer to an earlier process's request fits one of ours
	a.Router = newRouter(RouterOptions{CaseSensitive: o.CaseSensitiveRouting, Strict: o.StrictRouting})
	return a
}

// NewRouter returns a router that inherits the application's settings, to be mounted with
//
//	app.Use("/path", router.Handle)
func (a *App) NewRouter(o RouterOptions) *Router {
	o.CaseSensitive = o.CaseSensitive || a.settings.caseSensitive.Load()
	o.Strict = o.Strict || a.settings.strict.Load()
	return newRouter(o)
}

// OnOnline registers a listener for peers that come online. Listeners run one after the other, before
// any request of the peer is handled. A take-over or a reconnection within the grace period is not announced.
func (a *App) OnOnline(fn func(*Peer)) { a.online.add(fn) }

// OnOffline registers a listener for peers that go offline. A peer with the same identity can connect when the listeners have
// returned, so they must not wait for one.
func (a *App) OnOffline(fn func(*Peer)) { a.offline.add(fn) }

// OnDisconnect registers a listener for connections of peers that have ended, as [Peer.OnDisconnect] does for one peer, whose own are
// called after it. A guest of an [Introduction] is no peer yet.
func (a *App) OnDisconnect(fn func(p *Peer, code int, reason string)) { a.disconnect.add(fn) }

// OnReconnect registers a listener for peers that have come back within the grace period, as [Peer.OnReconnect] does for one
// peer.
func (a *App) OnReconnect(fn func(*Peer)) { a.reconnect.add(fn) }

// OnRouteError registers a listener for errors that no error handler has taken,
// panics of listeners, and mistakes of handlers such as [ErrNextTwice]. The request is nil when the error
// is not about one.
func (a *App) OnRouteError(fn func(error, *Request)) { a.routeErr.add(fn) }

// OnBadMessage registers a listener for messages that are not protoo messages. The error
// says what was wrong, and where.
func (a *App) OnBadMessage(fn func(*Peer, error)) { a.badMessage.add(fn) }

// Broadcast sends a request to all peers that Peers would visit, and returns how many took
// it. It is encoded once, there are no transactions, and answers to it are ignored.
// It fails only if the request cannot be encoded.
func (a *App) Broadcast(username, uuid string, req *Request) (int, error) {
	if bad := req.look().bad; bad != nil {
		return 0, bad
	}
	buf := getBuffer()
	defer buf.put()
	id := broadcastPrefix + a.newID()[1:]
	buf.b = appendRequest(buf.b, req.method, req.full, id, req.data, req.Sender())
	buf.b = appendTrace(buf.b, req.look().trace)
	sent := 0
	a.Peers(username, uuid, func(p *Peer) {
		p.mu.Lock()
		if p.transmit(buf.b, nil) == nil {
			sent++
		}
		p.mu.Unlock()
	})
	return sent, nil
}

// broadcastPrefix begins the ids of requests whose answers nobody waits for.
const broadcastPrefix = `"~`

func (a *App) newID() string {
	return `"` + strconv.FormatUint(a.ids.Add(1), 36) + `"`
}

func (a *App) timeoutOf(req *Request) time.Duration {
	if d := req.look().timeout; d > 0 {
		return d
	}
	if a.timeout != nil {
		if d := a.timeout(req.method); d > 0 {
			return d
		}
	}
	if req.method == "session" {
		return 120 * time.Second
	}
	return 10 * time.Second
}

// Admit asks a listener about a connection, on behalf of a transport: the result is a valid identity, or the
// HTTP status and reason to refuse with.
func (a *App) Admit(accept Accept, r *ConnectRequest) (id Identity, refused *StatusError) {
	return a.identify(func() (Identity, error) { return accept(r) })
}

// identify is Admit for any way to decide.
func (a *App) identify(accept func() (Identity, error)) (id Identity, refused *StatusError) {
	defer func() {
		if v := recover(); v != nil {
			a.routeError(&PanicError{v, debug.Stack()}, nil)
			refused = &StatusError{500, "internal error"}
		}
	}()
	if a.isClosed() {
		return id, &StatusError{503, "shutting down"}
	}
	id, err := accept()
	if err == nil {
		if err = id.check(); err == nil {
			return id, nil
		}
		closed(id.Meter)
	}
	if !errors.As(err, &refused) {
		a.routeError(err, nil)
		refused = &StatusError{500, "internal error"}
	}
	return id, refused
}

// Attach lets Close close a transport, or a server that one runs in, along with the application. After
// Close has done so, it closes the transport at once.
func (a *App) Attach(transport io.Closer) {
	a.mu.Lock()
	shut := a.shut
	if !shut {
		a.transports = append(a.transports, transport)
	}
	a.mu.Unlock()
	if shut {
		_ = transport.Close()
	}
}

// Close disconnects all peers with 1001 "shutting down", without grace periods, and admits no more. If
// closeTransports is true it also closes what was attached, and waits for that.
func (a *App) Close(closeTransports bool) error {
	a.mu.Lock()
	a.closed = true
	var transports []io.Closer
	if closeTransports {
		transports, a.transports, a.shut = a.transports, nil, true
	}
	a.mu.Unlock()
	a.Peers("", "", func(p *Peer) { _ = p.Close(CloseGoingAway, "shutting down") })
	var errs []error
	for _, t := range transports {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

func (a *App) isClosed() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.closed
}

// finish answers a request that has come to the end of the stack.
func (a *App) finish(req *Request, err error) {
	if err == nil {
		if !req.Ended() {
			_ = req.Reply(404, fmt.Sprintf("no handler for %s at %s", req.method, cut(req.full, 256)))
		}
		return
	}
	a.routeError(err, req)
	if req.Ended() {
		return
	}
	var known *StatusError
	switch {
	case errors.As(err, &known):
		_ = req.Reply(rejection(known.Status), known.Reason)
	case a.settings.production.Load():
		_ = req.Reply(500, "internal error")
	default:
		_ = req.Reply(500, cut(err.Error(), 512))
	}
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (a *App) routeError(err error, req *Request) {
	if a == nil {
		return
	}
	// A listener for errors that panics itself has nobody left to be reported to.
	defer func() { _ = recover() }()
	for _, fn := range a.routeErr.all() {
		fn(err, req)
	}
}

// Guard calls fn, and reports its panic to the OnRouteError listeners instead of letting
// it end the program. It is for middleware that calls functions of the application's own.
func (a *App) Guard(fn func()) {
	defer func() {
		if v := recover(); v != nil {
			a.routeError(&PanicError{v, debug.Stack()}, nil)
		}
	}()
	fn()
}

// Stats counts what an application has seen and what it has lost.
type Stats struct {
	Peers          int    // online now
	BadMessages    uint64 // messages that were not protoo messages
	StrayResponses uint64 // responses that fitted no request
	Slow           uint64 // messages that did not fit a peer's queue
}

// Stats returns the figures of this moment.
func (a *App) Stats() Stats {
	a.mu.RLock()
	peers := len(a.peers)
	a.mu.RUnlock()
	return Stats{
		Peers:          peers,
		BadMessages:    a.stats.badMessages.Load(),
		StrayResponses: a.stats.strayResponses.Load(),
		Slow:           a.stats.slow.Load(),
	}
}

type counters struct{ badMessages, strayResponses, slow atomic.Uint64 }

// listeners is a list that may grow while it is used.
type listeners[F any] struct {
	mu   sync.Mutex
	list atomic.Pointer[[]F]
}

func (l *listeners[F]) add(fn F) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := append(slices.Clone(l.all()), fn)
	l.list.Store(&list)
}

func (l *listeners[F]) all() []F {
	if list := l.list.Load(); list != nil {
		return *list
	}
	return nil
}
