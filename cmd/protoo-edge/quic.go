package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/webtransport"
	"github.com/protoo-go/protoo/transports/webtransport/devcert"
)

// newWebTransport returns what serves WebTransport at / and /protoo, and over HTTP/3 whatever else pages has.
func newWebTransport(app *core.App, accept core.Accept, cfg *config.Config, bound func(http.Handler) http.Handler, pages http.Handler) *webtransport.Server {
	var sessions http.Handler
	o := cfg.WebTransport.Options
	o.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect && (r.URL.Path == "/" || r.URL.Path == "/protoo") {
			sessions.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
	wt := webtransport.New(app, accept, o)
	sessions = bound(wt)
	return wt
}

// advertise tells browsers that came over TLS that they may come over HTTP/3. They would not do so for a certificate that
// they do not trust by themselves.
func (s *server) advertise(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if port := s.altPort.Load(); port != 0 && r.TLS != nil && r.ProtoMajor < 3 {
			w.Header().Set("Alt-Svc", webtransport.AltSvc(int(port)))
		}
		next.ServeHTTP(w, r)
	})
}

// listenUDP opens the sockets of WebTransport and begins to serve them. WebSocket goes on without it, so a socket that cannot be
// had is no error. It returns nil when there is none.
func (s *server) listenUDP(at addresses) net.Addr {
	if s.wt == nil {
		return nil
	}
	addr := s.cfg.WebTransport.Addr
	if addr == "" {
		addr = cmp.Or(at.tls, at.plain).String()
	}
	conn, err := s.sockets.ListenPacket(addr)
	if s.cfg.Listen.ReusePort && errors.Is(err, syscall.EADDRINUSE) {
		s.log.Info("WebTransport waits for its port, which another process still has", "addr", addr)
		go s.awaitUDP(addr)
		return nil
	}
	if err != nil {
		s.log.Warn("no WebTransport: clients use WebSocket", "error", err)
		return nil
	}
	return s.startUDP(conn)
}

// awaitUDP serves an address when the process that has it has ended. Two processes cannot share it: the packets of
// a connection must all come to one of them.
func (s *server) awaitUDP(addr string) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-s.ending:
			return
		case <-ticker.C:
		}
		if conn, err := net.ListenPacket("udp", addr); err == nil {
			s.log.Info("WebTransport has its port", "addr", conn.LocalAddr())
			s.startUDP(conn)
			return
		}
	}
}

func (s *server) startUDP(conn net.PacketConn) net.Addr {
	local := conn.LocalAddr().(*net.UDPAddr)
	s.warnOfBuffers(conn.(*net.UDPConn))
	s.serveUDP(conn)
	if _, development := s.source.(*devcert.Source); !development {
		s.altPort.Store(int32(local.Port))
	} else if local.IP.Equal(net.IPv4(127, 0, 0, 1)) {
		// Where localhost is meant, browsers try this one first.
		if conn, err := net.ListenPacket("udp", net.JoinHostPort("::1", strconv.Itoa(local.Port))); err == nil {
			s.serveUDP(conn)
		}
	}
	return local
}

func (s *server) serveUDP(conn net.PacketConn) {
	go func() {
		err := s.wt.Serve(conn, &tls.Config{GetCertificate: s.certificates.GetCertificate})
		if !errors.Is(err, http.ErrServerClosed) {
			s.health.LoseListener("webtransport", err)
			s.log.Error("WebTransport has failed: clients use WebSocket", "addr", conn.LocalAddr(), "error", err)
		}
	}()
}

// wantedBuffer is what quic-go would like a socket to hold, in bytes, in each direction.
const wantedBuffer = 7 << 20

// warnOfBuffers warns of small buffers itself, and keeps quic-go from doing so in its own words.
func (s *server) warnOfBuffers(conn *net.UDPConn) {
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	if receive, send := growBuffers(conn); receive < wantedBuffer || send < wantedBuffer {
		s.log.Warn("UDP buffers are small, so that bursts lose packets; as root, run: sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000",
			"receive", receive, "send", send, "wanted", wantedBuffer)
	}
}
