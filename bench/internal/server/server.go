// Package server is the process that is measured: an application with an echo and a messenger behind one transport. It
// is told what to do on its standard input.
package server

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/messenger"
	"github.com/protoo-go/protoo/transports/memory"
	"github.com/protoo-go/protoo/transports/websocket"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// The transports that a server can have.
const (
	Memory       = "memory"
	Events       = "ws"
	Goroutines   = "ws-goroutines"
	Secure       = "wss"
	WebTransport = "webtransport"
	Reference    = "reference"
)

// gcPercent is the garbage collector's setting, the same as protoo-edge has.
const gcPercent = 400

// GOGC is the setting for all servers in Go, ours and others: the user's, if there is one.
func GOGC() string { return cmp.Or(os.Getenv("GOGC"), strconv.Itoa(gcPercent)) }

// A server is one that listens.
type server struct {
	url         string // without the query
	address     string
	certificate []byte // in DER, for those that have one
	memory      *memory.Transport
	close       func() error
}

// start has a transport listen on a free port of a host.
func start(transport, host string) (*server, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	app := newApp()
	switch transport {
	case Memory:
		m := memory.New(app, accept, memory.Options{})
		return &server{memory: m, close: m.Close}, nil
	case Events, Goroutines:
		ws := websocket.New(app, accept, websocket.Options{Goroutines: transport == Goroutines})
		return serveHTTP(ws, ws, host, nil)
	case Secure:
		certificate, err := newCertificate(host)
		if err != nil {
			return nil, err
		}
		ws := websocket.New(app, accept, websocket.Options{})
		return serveHTTP(ws, ws, host, certificate)
	case WebTransport:
		return serveWebTransport(webtransport.New(app, accept, webtransport.Options{Datagrams: true}), host)
	case Reference:
		return serveReference(host)
	}
	return nil, fmt.Errorf("unknown transport %q", transport)
}

func newApp() *core.App {
	app := core.New(core.Options{})
	app.Use("/users", messenger.New(app, messenger.Options{}).Handle)
	app.All("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Data()) })
	return app
}

func accept(r *core.ConnectRequest) (core.Identity, error) {
	return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
}

func serveHTTP(h http.Handler, connections io.Closer, host string, certificate *tls.Certificate) (*server, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	s := &server{address: l.Addr().String(), url: "ws://" + l.Addr().String() + "/"}
	if certificate != nil {
		s.url = "wss" + strings.TrimPrefix(s.url, "ws")
		s.certificate = certificate.Certificate[0]
		// As protoo-edge does: events serve what is under TLS only through this listener.
		l = websocket.NewListener(l, nil)
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"http/1.1"}})
	}
	// Clients that are interrupted break handshakes off, which is nobody's business.
	hs := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	s.close = func() error {
		closing := []error{hs.Close(), connections.Close()}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			closing = append(closing, err)
		}
		return errors.Join(closing...)
	}
	return s, nil
}

func serveWebTransport(wt *webtransport.Server, host string) (*server, error) {
	certificate, err := newCertificate(host)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	served := make(chan error, 1)
	go func() { served <- wt.Serve(conn, &tls.Config{Certificates: []tls.Certificate{*certificate}}) }()
	return &server{
		url:         "https://" + conn.LocalAddr().String() + "/",
		address:     conn.LocalAddr().String(),
		certificate: certificate.Certificate[0],
		close: func() error {
			err := wt.Close()
			if e := <-served; !errors.Is(e, http.ErrServerClosed) {
				err = errors.Join(err, e)
			}
			return err
		},
	}, nil
}
