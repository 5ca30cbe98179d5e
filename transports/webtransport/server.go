// Package webtransport connects peers over WebTransport (draft-ietf-webtrans-http3), that is, over QUIC.
//
// A [Server] listens by itself:
//
//	server := webtransport.New(app, accept, webtransport.Options{})
//	err := server.ListenAndServe(":443", &tls.Config{GetCertificate: getCertificate})
//
// or serves the connections of an HTTP/3 server of the application's own, whose handler gives it the requests for its path: see
// [Server.ServeListener].
//
// In each session there is one bidirectional stream. The client opens it and writes to it at once. It carries frames: an opcode of one
// byte as in RFC 6455 (1 text, 2 binary, 8 close, 9 ping, 10 pong), the length of the payload as a QUIC varint, and the payload. A
// text frame is a message. What a close frame says is said once more by the session's own end, for clients that do not look.
//
// A session costs what a QUIC connection does, some 120 KB, and one goroutine of ours, which reads; another one runs while there is something to
// write that the first does not write itself.
package webtransport

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/admission"
	"github.com/protoo-go/protoo/transports/internal/keeper"
)

// Protocol is what clients offer as the session's application protocol. Some browsers cannot offer one, so it may be missing.
const Protocol = "protoo"

// Options are a server's limits. The zero value is what most servers want.
type Options struct {
	// MaxMessage bounds a message, in bytes; longer ones close the connection with 1009. Default 64 KiB.
	MaxMessage int
	// QueueSize bounds what waits to be written to a peer, in bytes; beyond it Send fails with core.ErrSlow. Default 1 MiB.
	QueueSize int
	// StreamTimeout is how long a client may take to open its stream. Default 5 s.
	StreamTimeout time.Duration
	// MessageTimeout is how long a message may take from its first byte to its last; one that takes longer closes the
	// connection with 1008, up to a CheckInterval later. Default 30 s.
	MessageTimeout time.Duration
	// WriteTimeout is how long the other side may take to have room for what is written to it. Default 10 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long the other side may take to answer a close frame, counted from when it is written, and
	// as long again to end the session. Default 1 s.
	CloseTimeout time.Duration
	// CheckInterval is how often a connection is looked at: whether a message takes too long, whether there are streams that should
	// not be, whether its address has changed. Default 25 s.
	CheckInterval time.Duration

	// MaxConnections bounds the connections, handshakes included; more are refused, with 503 where it comes to an answer. Default none: what
	// a machine can hold is for its operator to say.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those from one IP address, or from one /64 network of IPv6; more are
	// refused, with 429 where it comes to an answer. A client that moves to an address that has no room is closed with 1013. Default none:
	// many users may share an address.
	MaxConnectionsPerAddress int
	// MaxHandshakes bounds the handshakes that accept is being asked about at one time; more are refused with
	// 503. It also bounds the QUIC connections of Serve that have not asked for anything yet, of which one address may have an
	// eighth. From a sixteenth of it on, clients have to prove their addresses. Default 1,024, negative for none.
	MaxHandshakes int

	// Origins lists the origins that pages may connect from, beside the server's own host:
	// "https://example.com", "https://*.example.com", "*.example.com" for any scheme, or "*" for all.
	// Requests without an Origin header, which do not come from pages, are always allowed.
	Origins []string

	// Datagrams turns datagrams on: see Conn.SendDatagram. It costs each session another goroutine.
	Datagrams bool

	// Observe is told of every session; nil if nobody is to be told. A QUIC connection that asks for none is not told of, nor one that is
	// refused before it can ask: see Stats.
	Observe *core.TransportObserver

	// Handler has the requests to Serve that do not ask for WebTransport at all: browsers that are told about HTTP/3 use it for
	// everything. Whether it serves WebTransport, and at which path, is its own business: it gives
	// these requests to the Server. Default the Server itself, at every path.
	Handler http.Handler
	// KeepAlive is after how much silence Serve has a sign of life exchanged, which browsers do not do by themselves. A session is lost
	// after 30 s without one. Default, and most, 15 s.
	KeepAlive time.Duration
	// Secret is what Serve derives the keys for stateless resets and for address tokens from (RFC 9000, sections 10.3 and 8.1.3). With
	// the same one, a server that has been started again can tell its old clients at once that their connections are gone.
	// By default it is random.
	Secret []byte
}

// A Server accepts WebTransport sessions. It is an http.Handler and an io.Closer.
type Server struct {
	app      *core.App
	accept   core.Accept
	options  Options
	config   config
	gate     gate
	counters counters
	patience time.Duration  // with connections to Serve that ask for nothing
	serving  sync.WaitGroup // calls of Serve

	mu        sync.Mutex
	closed    bool
	closing   chan struct{}                          // closed when the sessions have ended
	upgraders map[*http3.Server]*webtransport.Server // what serves each server's connections
}

// New returns a server that asks accept about each session. It panics if a pattern in Options.Origins is malformed.
// The caller closes it, or has the application do so with app.Attach.
func New(app *core.App, accept core.Accept, o Options) *Server {
	if err := admission.Origins(o.Origins).Check(); err != nil {
		panic("webtransport: " + err.Error())
	}
	if len(o.Secret) == 0 {
		o.Secret = make([]byte, 32)
		_, _ = rand.Read(o.Secret) // does not fail
	}
	s := &Server{
		app:       app,
		accept:    accept,
		options:   o,
		patience:  requestTimeout,
		closing:   make(chan struct{}),
		upgraders: make(map[*http3.Server]*webtransport.Server),
	}
	if s.options.Handler == nil {
		s.options.Handler = s
	}
	s.options.KeepAlive = min(cmp.Or(o.KeepAlive, idleTimeout/2), idleTimeout/2)
	s.gate = gate{
		connections: o.MaxConnections,
		perAddress:  o.MaxConnectionsPerAddress,
		handshakes:  cmp.Or(o.MaxHandshakes, 1024),
		guests:      make(map[netip.Addr]*guest),
	}
	s.config = config{
		maxMessage:   cmp.Or(o.MaxMessage, 64<<10),
		queueSize:    cmp.Or(o.QueueSize, 1<<20),
		firstStream:  cmp.Or(o.StreamTimeout, 5*time.Second),
		writeTimeout: cmp.Or(o.WriteTimeout, 10*time.Second),
		closeTimeout: cmp.Or(o.CloseTimeout, time.Second),
		datagrams:    o.Datagrams,
		keeper:       keeper.New(cmp.Or(o.CheckInterval, 25*time.Second), cmp.Or(o.MessageTimeout, 30*time.Second), (*Conn).check, (*Conn).kept),
		counters:     &s.counters,
	}
	if o.Observe != nil {
		s.config.observe = *o.Observe
	}
	return s
}

// ServeHTTP makes the request a peer's session, or refuses it with a status and a reason. The request must have come over a connection that
// Serve or ServeListener serves.
//
// A page cannot see the status. So a page that the application refuses gets a session all the same, which is closed
// with a code of 4000 and the status, such as 4403, and the reason.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refused := s.check(r); refused != nil {
		s.refuse(w, r, refused)
		return
	}
	from, _ := r.Context().Value(callerKey{}).(*caller)
	answer, ok := responderOf(w)
	if from == nil || !ok {
		s.refuse(w, r, &core.StatusError{Status: http.StatusInternalServerError, Reason: "WebTransport is not served here"})
		return
	}
	if refused := from.begin(s, r.RemoteAddr); refused != nil {
		s.refuse(w, r, refused)
		return
	}
	taken := false
	defer func() {
		if !taken {
			from.end()
		}
	}()
	id, refused := s.admit(r)
	if refused != nil && r.Header.Get("Origin") == "" {
		s.refuse(w, r, refused)
		return
	}
	c := s.newConn(r, from)
	if c == nil {
		id.Abandon()
		s.refuse(w, r, shuttingDown)
		return
	}
	taken = true // gone ends it
	// The peer is online before the client learns that it is connected: whoever asks for
	// it then finds it. What is sent to it meanwhile waits.
	c.cork()
	if refused != nil {
		s.refused(refused.Status)
		c.deaf = true
		_ = c.Close(4000+refused.Status, refused.Reason)
	} else if c.connect(s.app, id) != nil {
		c.gone()
		s.refuse(w, r, shuttingDown)
		return
	}
	taker := &taker{responder: answer}
	upgraded, err := from.upgrader.Upgrade(taker, r)
	if err != nil {
		c.abort()
		c.gone()
		status := 0
		if taker.stream == nil {
			status = http.StatusBadRequest
			refuse(w, &core.StatusError{Status: status, Reason: err.Error()})
		}
		if refused == nil {
			s.refused(status)
		}
		return
	}
	if refused == nil {
		c.opened()
	}
	c.begin(&session{Session: upgraded, connect: taker.stream})
	go c.serve()
}

var shuttingDown = &core.StatusError{Status: http.StatusServiceUnavailable, Reason: "shutting down"}

// begin gives the connection its session, which is too late if it has been given up meanwhile.
func (c *Conn) begin(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	if c.state == closed {
		go s.kill(c.code, c.reason)
	}
}

// newConn returns nil when the server is closed.
func (s *Server) newConn(r *http.Request, from *caller) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	c := newConn(&s.config)
	c.addr, _ = netip.ParseAddrPort(r.RemoteAddr)
	c.visitor, c.ended, c.caller = from.visitor, from.end, from
	return c
}

// check refuses what cannot become a session, before anybody is asked about it. The refusal's status is an
// HTTP status.
func (s *Server) check(r *http.Request) *core.StatusError {
	switch {
	case r.Method == http.MethodConnect && r.Proto == "websocket":
		// RFC 9220 has WebSocket over HTTP/3, but whoever can do that can do WebTransport, and over TCP there is WebSocket proper.
		return &core.StatusError{Status: http.StatusUpgradeRequired, Reason: "WebSocket is served over HTTP/1.1 only"}
	case r.Method != http.MethodConnect || r.Proto != "webtransport" && r.Proto != "webtransport-h3":
		return &core.StatusError{Status: http.StatusUpgradeRequired, Reason: "this is a WebTransport endpoint"}
	case !admission.Origins(s.options.Origins).Allow(r.Header.Get("Origin"), r.Host):
		return &core.StatusError{Status: http.StatusForbidden, Reason: "Invalid Origin"}
	}
	return nil
}

// admit asks accept about a session. The refusal's status is an HTTP status.
func (s *Server) admit(r *http.Request) (core.Identity, *core.StatusError) {
	if refused := s.gate.ask(); refused != nil {
		return core.Identity{}, refused
	}
	defer s.gate.decided()
	return s.app.Admit(s.accept, &core.ConnectRequest{
		Context:    r.Context(),
		Transport:  transportName,
		Path:       r.URL.Path,
		Query:      r.URL.Query(),
		Header:     r.Header,
		Origin:     r.Header.Get("Origin"),
		RemoteAddr: r.RemoteAddr,
		Secure:     true,
		Raw:        r,
	})
}

// refuse answers a handshake, or what is none.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e *core.StatusError) {
	if r.Method == http.MethodConnect {
		s.refused(e.Status)
	}
	refuse(w, e)
}

func (s *Server) refused(status int) {
	if s.config.observe.Refused != nil {
		s.config.observe.Refused(transportName, status)
	}
}

// transportName is what a ConnectRequest and an observer call this transport.
const transportName = "wt"

func refuse(w http.ResponseWriter, e *core.StatusError) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	fmt.Fprintln(w, e.Reason)
}

// Close ends all sessions that the application has not closed yet with 1001, and returns when all
// have ended, which takes StreamTimeout or WriteTimeout and twice CloseTimeout at most. It ends Serve and ServeListener then, and with them
// the http3.Servers that the latter was given.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	k := s.config.keeper
	for _, c := range k.All() {
		_ = c.Close(core.CloseGoingAway, "shutting down")
	}
	k.Wait()
	if !again {
		close(s.closing)
		for _, upgrader := range s.all() {
			_ = upgrader.Close()
		}
	}
	s.serving.Wait()
	return nil
}

func (s *Server) all() []*webtransport.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*webtransport.Server, 0, len(s.upgraders))
	for _, upgrader := range s.upgraders {
		all = append(all, upgrader)
	}
	return all
}

// Stats counts what a server has seen, and what it has lost.
type Stats struct {
	Connections int    // QUIC connections now; behind ServeListener, sessions
	Strangers   int    // those which have not asked for anything yet
	Retries     uint64 // connections that had to prove their address first
	Refused     uint64 // connections that there was no room for
	Migrations  uint64 // changes of address that were noticed
	Stuck       uint64 // sessions that were ended because nothing could be written to them for too long
	Dropped     uint64 // datagrams that were given up, of both directions
}

// Stats returns the figures of this moment. Any goroutine may call it.
func (s *Server) Stats() Stats {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return Stats{
		Connections: s.gate.inside,
		Strangers:   s.gate.strangers,
		Retries:     s.gate.retries,
		Refused:     s.gate.refused,
		Migrations:  s.counters.migrations.Load(),
		Stuck:       s.counters.stuck.Load(),
		Dropped:     s.counters.dropped.Load(),
	}
}
