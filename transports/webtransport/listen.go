package webtransport

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/protoo-go/protoo/core"
)

// Limits of what Serve takes from a connection.
const (
	idleTimeout      = 30 * time.Second // without a packet
	handshakeTimeout = 5 * time.Second  // without a packet
	requestTimeout   = 10 * time.Second // without a request or a session
	maxHeaderBytes   = 16 << 10
	streamWindow     = 64 << 10  // bytes on their way, for each stream
	connectionWindow = 128 << 10 // for all of them
	maxStreams       = 16        // requests at one time
	maxUniStreams    = 8         // three are HTTP/3's own
)

// AltSvc returns the value of an Alt-Svc header field (RFC 7838) that tells browsers to come over HTTP/3 next time, to the UDP port of
// that number.
func AltSvc(port int) string { return fmt.Sprintf(`h3=":%d"; ma=86400`, port) }

// ListenAndServe listens on a UDP address, such as ":443", and serves it. See Serve.
func (s *Server) ListenAndServe(addr string, config *tls.Config) error {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	return s.Serve(conn, config)
}

// Serve serves WebTransport, and what other requests there are over HTTP/3, on a UDP socket, until Close. It takes the certificate from
// config, which it does not change, and closes the socket at its end. Its error is http.ErrServerClosed after Close.
//
// There are no 0-RTT requests. The socket's buffers should have 7 MB, or bursts get lost: quic-go asks the system for that
// and complains on standard error if it cannot have it. On Linux, net.core.rmem_max and net.core.wmem_max are in the way.
func (s *Server) Serve(conn net.PacketConn, config *tls.Config) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = conn.Close()
		return http.ErrServerClosed
	}
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()
	defer conn.Close()

	resetKey, tokenKey := quic.StatelessResetKey(s.derive("stateless reset")), quic.TokenGeneratorKey(s.derive("token"))
	transport := &quic.Transport{
		Conn:                conn,
		StatelessResetKey:   &resetKey,
		TokenGeneratorKey:   &tokenKey,
		VerifySourceAddress: s.gate.suspects,
		ConnContext: func(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
			v, err := s.gate.knock(info.RemoteAddr)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, v.leave)
			return context.WithValue(ctx, visitorKey{}, v), nil
		},
	}
	defer transport.Close()
	l, err := transport.ListenEarly(http3.ConfigureTLSConfig(config), &quic.Config{
		HandshakeIdleTimeout:             handshakeTimeout,
		MaxIdleTimeout:                   idleTimeout,
		KeepAlivePeriod:                  s.options.KeepAlive,
		InitialStreamReceiveWindow:       streamWindow,
		MaxStreamReceiveWindow:           streamWindow,
		InitialConnectionReceiveWindow:   connectionWindow,
		MaxConnectionReceiveWindow:       connectionWindow,
		MaxIncomingStreams:               maxStreams,
		MaxIncomingUniStreams:            maxUniStreams,
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
	})
	if err != nil {
		return err
	}
	defer l.Close()
	return s.ServeListener(&http3.Server{
		Handler:        http.HandlerFunc(s.handle),
		MaxHeaderBytes: maxHeaderBytes,
	}, l)
}

// derive returns a key for one purpose.
func (s *Server) derive(purpose string) [32]byte {
	mac := hmac.New(sha256.New, s.options.Secret)
	mac.Write([]byte(purpose))
	return [32]byte(mac.Sum(nil))
}

// handle is what Serve has each request handled by.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	from := r.Context().Value(callerKey{}).(*caller)
	from.busy(1)
	defer from.busy(-1)
	s.options.Handler.ServeHTTP(w, r)
}

// ServeListener serves the connections that a QUIC listener of the application's own accepts, with an HTTP/3 server of its own, whose
// handler gives the requests for WebTransport to s.ServeHTTP. It sets what h needs for that in AdditionalSettings, EnableDatagrams
// and ConnContext. The listener's quic.Config must have EnableDatagrams and EnableStreamResetPartialDelivery set,
// should have a KeepAlivePeriod, small windows and few streams, and its tls.Config comes from http3.ConfigureTLSConfig. What
// Options say about Serve does not concern it.
//
// It returns when the listener fails, or with http.ErrServerClosed after Close, and leaves the listener to the caller.
func (s *Server) ServeListener(h *http3.Server, l http3.QUICListener) error {
	upgrader, err := s.upgrader(h)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		conn, err := l.Accept(ctx)
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
			}
			return http.ErrServerClosed
		}
		if err != nil {
			return err
		}
		go func() {
			if err := upgrader.ServeQUICConn(conn); err != nil && !errors.Is(err, http.ErrServerClosed) {
				_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeInternalError), err.Error())
			}
		}()
	}
}

// upgrader returns what serves the connections of an HTTP/3 server.
func (s *Server) upgrader(h *http3.Server) (*webtransport.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, http.ErrServerClosed
	}
	if u := s.upgraders[h]; u != nil {
		return u, nil
	}
	u := &webtransport.Server{
		H3:                   h,
		ApplicationProtocols: []string{Protocol},
		CheckOrigin:          func(*http.Request) bool { return true }, // it has been checked
	}
	inner := h.ConnContext
	h.ConnContext = func(ctx context.Context, conn *quic.Conn) context.Context {
		if inner != nil {
			ctx = inner(ctx, conn)
		}
		return context.WithValue(ctx, callerKey{}, newCaller(ctx, u, conn, s.patience))
	}
	s.upgraders[h] = u
	return u, nil
}

type (
	callerKey  struct{}
	visitorKey struct{}
)

// caller is a QUIC connection, and what it wants.
type caller struct {
	upgrader *webtransport.Server
	conn     *quic.Conn
	patience time.Duration

	mu      sync.Mutex
	visitor *visitor // with a session, or from the start if Serve has it
	own     bool     // the visitor is Serve's, and leaves with the connection
	session bool
	asking  int         // requests and sessions
	timer   *time.Timer // ends a connection that asks for nothing; nil if it is not Serve's
}

func newCaller(ctx context.Context, u *webtransport.Server, conn *quic.Conn, patience time.Duration) *caller {
	c := &caller{upgrader: u, conn: conn, patience: patience}
	c.visitor, c.own = ctx.Value(visitorKey{}).(*visitor)
	if c.own {
		c.timer = time.AfterFunc(patience, c.expire)
		context.AfterFunc(conn.Context(), func() { c.timer.Stop() })
	}
	return c
}

func (c *caller) expire() {
	_ = c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "no request in time")
}

// busy counts requests and sessions.
func (c *caller) busy(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking += n
	if c.timer == nil {
		return
	}
	c.visitor.known()
	if c.asking > 0 {
		c.timer.Stop()
	} else if c.conn.Context().Err() == nil {
		c.timer.Reset(c.patience)
	}
}

// begin makes room for a session. Unless it is refused, end must follow.
func (c *caller) begin(s *Server, remote string) *core.StatusError {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session {
		return &core.StatusError{Status: http.StatusTooManyRequests, Reason: "one session in a connection"}
	}
	if !c.own {
		v, refused := s.gate.enter(remote)
		if refused != nil {
			return refused
		}
		c.visitor = v
	}
	c.session = true
	c.asking++
	return nil
}

func (c *caller) end() {
	c.mu.Lock()
	c.session = false
	if !c.own {
		c.visitor.leave()
	}
	c.mu.Unlock()
	c.busy(-1)
}
