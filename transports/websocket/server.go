// Package websocket connects peers over WebSocket (RFC 6455), subprotocol "protoo".
//
// A [Server] is an http.Handler for an http.Server of the application's own:
//
//	server := websocket.New(app, accept, websocket.Options{})
//	http.Handle("/protoo", server)
//
// What comes before the handshake is complete is the http.Server's business, whose limits are none by
// default. Set them, and let a [NewListener] outlive a want of file descriptors:
//
//	h := &http.Server{ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
//	h.Serve(websocket.NewListener(l, report))
//
// On Linux, connections are served by events: an idle one has no goroutine and no buffer. Under TLS that
// takes a [NewListener] below it, as http.Server's ServeTLS has when it is given one. Other connections have a goroutine
// each that reads.
package websocket

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/admission"
	"github.com/protoo-go/protoo/transports/internal/keeper"
)

// Subprotocol is what clients must ask for in Sec-WebSocket-Protocol.
const Subprotocol = "protoo"

// Options are a server's limits. The zero value is what most servers want.
type Options struct {
	// MaxMessage bounds a message, in bytes; longer ones close the connection with 1009. Default 64 KiB.
	MaxMessage int
	// QueueSize bounds what waits to be written to a peer, in bytes; beyond it Send fails with core.ErrSlow. Default 1 MiB.
	QueueSize int
	// PingInterval is how often a connection is looked at: one that has been silent since the last time is pinged, one that
	// has not answered by the next is given up. Default 25 s.
	PingInterval time.Duration
	// MessageTimeout is how long a message may take from its first byte to its last; one that takes longer closes the
	// connection with 1008, up to a PingInterval later. Default 30 s.
	MessageTimeout time.Duration
	// CloseTimeout is how long the other side may take to answer a close frame. Default 5 s.
	CloseTimeout time.Duration

	// MaxConnections bounds the connections, handshakes included; more are refused with 503. Default none: what
	// a machine can hold is for its operator to say.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those from one IP address, or from one /64 network of IPv6; more are
	// refused with 429. The address is the request's RemoteAddr, so behind a proxy it needs a handler in front that puts the client's
	// address there. Default none: many users may share an address.
	MaxConnectionsPerAddress int
	// MaxHandshakes bounds the handshakes that accept is being asked about at one time; more are refused with
	// 503. Default 1,024, negative for none.
	MaxHandshakes int

	// Origins lists the origins that pages may connect from, beside the server's own host:
	// "https://example.com", "https://*.example.com", "*.example.com" for any scheme, or "*" for all.
	// Requests without an Origin header, which do not come from pages, are always allowed.
	Origins []string

	// Compression turns permessage-deflate on; nil leaves it off.
	Compression *Compression

	// Goroutines turns event-driven reading off.
	Goroutines bool

	// Observe is told of every connection; nil if nobody is to be told.
	Observe *core.TransportObserver
}

// config is what the connections of a server, or of a client, share.
type config struct {
	client       bool
	scheme       string
	maxMessage   int
	queueSize    int
	closeTimeout time.Duration
	keeper       *keeper.Keeper[Conn]
	gate         *gate // nil for clients
	observe      core.TransportObserver
}

// A Server accepts WebSocket connections. It is an http.Handler and an io.Closer.
type Server struct {
	app     *core.App
	accept  core.Accept
	options Options
	plain   config
	secure  config
	gate    gate

	mu      sync.Mutex
	closed  bool
	pollers *pollers
}

// New returns a server that asks accept about each connection. It panics if a pattern in Options.Origins is malformed.
// The caller closes it, or has the application do so with app.Attach.
func New(app *core.App, accept core.Accept, o Options) *Server {
	if err := admission.Origins(o.Origins).Check(); err != nil {
		panic("websocket: " + err.Error())
	}
	s := &Server{app: app, accept: accept, options: o}
	s.gate = gate{
		connections: o.MaxConnections,
		perAddress:  o.MaxConnectionsPerAddress,
		handshakes:  cmp.Or(o.MaxHandshakes, 1024),
		guests:      make(map[netip.Addr]*guest),
	}
	s.plain = config{
		scheme:       "ws",
		maxMessage:   cmp.Or(o.MaxMessage, 64<<10),
		queueSize:    cmp.Or(o.QueueSize, 1<<20),
		closeTimeout: cmp.Or(o.CloseTimeout, 5*time.Second),
		gate:         &s.gate,
		keeper:       newKeeper(o.PingInterval, cmp.Or(o.MessageTimeout, 30*time.Second)),
	}
	if o.Observe != nil {
		s.plain.observe = *o.Observe
	}
	s.secure = s.plain
	s.secure.scheme = "wss"
	return s
}

// ServeHTTP makes the request's connection a peer's, or refuses it with a status and a reason.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refused := s.check(r); refused != nil {
		s.refuse(w, r, refused)
		return
	}
	from, refused := s.gate.enter(r.RemoteAddr)
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	taken := false
	defer func() {
		if !taken {
			s.gate.leave(from)
		}
	}()
	id, refused := s.admit(r)
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	c := s.newConn(r)
	if c == nil {
		id.Abandon()
		s.refuse(w, r, shuttingDown)
		return
	}
	c.from, taken = from, true
	// The peer is online before the client learns that it is connected: whoever asks for
	// it then finds it. What is sent to it meanwhile waits.
	c.cork()
	if c.connect(s.app, id) != nil {
		c.gone()
		s.refuse(w, r, shuttingDown)
		return
	}
	conn, early, err := s.upgrade(c, w, r)
	if err != nil {
		c.abort()
		c.gone()
		s.refused(r, 0)
		return
	}
	c.opened()
	if !s.adopt(c, conn, early) {
		go newStream(c, conn, early).run()
	}
}

var shuttingDown = &core.StatusError{Status: http.StatusServiceUnavailable, Reason: "shutting down"}

func (s *Server) configOf(r *http.Request) *config {
	if r.TLS != nil {
		return &s.secure
	}
	return &s.plain
}

// newConn returns nil when the server is closed.
func (s *Server) newConn(r *http.Request) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	c := newConn(s.configOf(r))
	c.addr, _ = netip.ParseAddrPort(r.RemoteAddr)
	return c
}

// upgrade ends the handshake. early is what the client has sent behind it.
func (s *Server) upgrade(c *Conn, w http.ResponseWriter, r *http.Request) (conn net.Conn, early []byte, err error) {
	upgrader := ws.HTTPUpgrader{
		Protocol: func(name string) bool { return name == Subprotocol },
		Timeout:  s.plain.closeTimeout, // a client may have filled its socket before
	}
	if o := s.options.Compression; o != nil {
		compression, answer := o.choose(r.Header["Sec-Websocket-Extensions"])
		if compression != nil {
			upgrader.Header = http.Header{"Sec-WebSocket-Extensions": {answer}}
		}
		c.mu.Lock()
		c.dec.deflate = compression
		c.mu.Unlock()
	}
	conn, rw, _, err := upgrader.Upgrade(checked(r), w)
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ = rw.Reader.Peek(n)
		early = append([]byte(nil), early...)
	}
	return conn, early, nil
}

// checked is what check has found in a handshake, each thing once: the peer is online by now, so that nobody may find fault with it any more.
func checked(r *http.Request) *http.Request {
	return &http.Request{
		Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Host: r.Host,
		Header: http.Header{
			"Connection":             {"Upgrade"},
			"Upgrade":                {"websocket"},
			"Sec-Websocket-Version":  {"13"},
			"Sec-Websocket-Protocol": {Subprotocol},
			"Sec-Websocket-Key":      r.Header["Sec-Websocket-Key"],
		},
	}
}

// adopt lets events serve a connection, and reports false when goroutines have to.
func (s *Server) adopt(c *Conn, conn net.Conn, early []byte) bool {
	if s.options.Goroutines {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pollers == nil {
		pollers, err := newPollers(s.plain.observe.LoopDelay)
		if err != nil {
			return false
		}
		s.pollers = pollers
	}
	return s.pollers.adopt(c, conn, early)
}

// check refuses what cannot become a connection, before anybody is asked about it. The refusal's status is an
// HTTP status.
func (s *Server) check(r *http.Request) *core.StatusError {
	switch {
	case !isHandshake(r):
		return &core.StatusError{Status: http.StatusUpgradeRequired, Reason: "this is a WebSocket endpoint"}
	case r.Method != http.MethodGet:
		return &core.StatusError{Status: http.StatusMethodNotAllowed, Reason: "a WebSocket handshake is a GET"}
	case !r.ProtoAtLeast(1, 1):
		return &core.StatusError{Status: http.StatusHTTPVersionNotSupported, Reason: "Invalid HTTP version"}
	case r.Host == "":
		return &core.StatusError{Status: http.StatusBadRequest, Reason: "Invalid Host"}
	case !hasToken(r.Header["Connection"], isUpgrade):
		return &core.StatusError{Status: http.StatusBadRequest, Reason: "Invalid Connection"}
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return &core.StatusError{Status: http.StatusUpgradeRequired, Reason: "Invalid Sec-WebSocket-Version"}
	case !validKey(r.Header.Get("Sec-Websocket-Key")):
		return &core.StatusError{Status: http.StatusBadRequest, Reason: "Invalid Sec-WebSocket-Key"}
	case !hasToken(r.Header["Sec-Websocket-Protocol"], isSubprotocol):
		return &core.StatusError{Status: http.StatusForbidden, Reason: "Invalid Sec-WebSocket-Protocol"}
	case !admission.Origins(s.options.Origins).Allow(r.Header.Get("Origin"), r.Host):
		return &core.StatusError{Status: http.StatusForbidden, Reason: "Invalid Origin"}
	}
	return nil
}

// validKey wants 16 bytes in base64.
func validKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(b) == 16 && len(key) == 24
}

// admit asks accept about a handshake. The refusal's status is an HTTP status.
func (s *Server) admit(r *http.Request) (core.Identity, *core.StatusError) {
	defer s.gate.decided()
	request := &core.ConnectRequest{
		Context:    r.Context(),
		Transport:  s.plain.scheme,
		Path:       r.URL.Path,
		Query:      r.URL.Query(),
		Header:     r.Header,
		Origin:     r.Header.Get("Origin"),
		RemoteAddr: r.RemoteAddr,
		Secure:     r.TLS != nil,
		Raw:        r,
	}
	if request.Secure {
		request.Transport = s.secure.scheme
	}
	return s.app.Admit(s.accept, request)
}

// refuse answers a handshake, or what is none.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e *core.StatusError) {
	if isHandshake(r) {
		s.refused(r, e.Status)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close") // or it would keep its socket until an idle timeout, if there is one
	switch e.Status {
	case http.StatusUpgradeRequired:
		h.Add("Connection", "Upgrade") // a line of its own, or net/http would not see the other
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	}
	w.WriteHeader(e.Status)
	fmt.Fprintln(w, e.Reason)
}

func (s *Server) refused(r *http.Request, status int) {
	c := s.configOf(r)
	if c.observe.Refused != nil {
		c.observe.Refused(c.scheme, status)
	}
}

func isHandshake(r *http.Request) bool { return hasToken(r.Header["Upgrade"], isWebSocket) }

func isWebSocket(token string) bool { return strings.EqualFold(token, "websocket") }

func isUpgrade(token string) bool { return strings.EqualFold(token, "upgrade") }

func isSubprotocol(token string) bool { return token == Subprotocol }

// hasToken looks for a token in a header field, which may be a list, and stand in several lines (RFC 9110, section 5.3).
func hasToken(lines []string, is func(token string) bool) bool {
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if is(strings.Trim(token, " \t")) {
				return true
			}
		}
	}
	return false
}

// Close ends all connections that the application has not closed yet with 1001, and returns when all
// have ended, which takes CloseTimeout at most.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	k := s.plain.keeper
	for _, c := range k.All() {
		_ = c.Close(core.CloseGoingAway, "shutting down")
	}
	k.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pollers != nil {
		s.pollers.close()
		s.pollers = nil
	}
	return nil
}
