package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
	"github.com/protoo-go/protoo/transports/webtransport"
	"github.com/protoo-go/protoo/transports/webtransport/devcert"
)

// server is protoo-edge while it serves.
type server struct {
	cfg    *config.Config // as it is in effect
	log    *slog.Logger
	level  *slog.LevelVar
	app    *core.App
	source certificate.Source   // nil without TLS and WebTransport
	wt     *webtransport.Server // nil without WebTransport
	http   *http.Server

	modules  *modules.Set
	internal *http.Server // for operators
	failed   chan error   // from listeners

	altPort atomic.Int32 // that browsers are told to find HTTP/3 at, 0 for none
}

func newServer(cfg *config.Config, log *slog.Logger, level *slog.LevelVar) (*server, error) {
	source, err := newSource(cfg, log)
	if err != nil {
		return nil, err
	}
	app := core.New(cfg.Core)
	set, err := modules.New(cfg, app, log)
	if err != nil {
		return nil, err
	}
	built := &stack{app: app, modules: set}
	if mistakes := built.mount(cfg.Middleware); len(mistakes) > 0 {
		set.Close()
		return nil, mistakes
	}
	logEvents(app, log)
	s := &server{cfg: cfg, log: log, level: level, app: app, source: source, failed: make(chan error, 3), modules: set}
	accept := logRefusals(built.accept(newAccept(cfg)), log)
	ws := websocket.New(app, accept, cfg.WebSocket)
	app.Attach(ws)
	var hashes func() ([][sha256.Size]byte, error)
	if self, ok := source.(*devcert.Source); ok {
		hashes = self.Hashes
	}
	handler := newHandler(ws, cfg.Page, hashes)
	if cfg.WebTransport.Enabled && source != nil {
		s.wt = newWebTransport(app, accept, cfg, handler)
		app.Attach(s.wt)
		handler = s.advertise(handler)
	} else if cfg.WebTransport.Enabled {
		log.Info("no WebTransport, which needs tls.addr and a certificate: clients use WebSocket")
	}
	if acme, ok := source.(*certificate.ACME); ok {
		handler = acme.Handler(handler)
	}
	s.http, s.internal = newHTTP(cfg, handler, log), newHTTP(cfg, newInternal(set), log)
	if source != nil {
		s.http.TLSConfig = newTLS(cfg, source)
	}
	return s, nil
}

func newHTTP(cfg *config.Config, handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: cfg.HTTP.ReadHeaderTimeout,
		ReadTimeout:       cfg.HTTP.ReadTimeout,
		WriteTimeout:      cfg.HTTP.WriteTimeout,
		IdleTimeout:       cfg.HTTP.IdleTimeout,
		MaxHeaderBytes:    cfg.HTTP.MaxHeader,
		ErrorLog:          httpLog(log),
	}
}

// addresses are where a server listens; nil where it does not.
type addresses struct{ plain, tls, udp, internal net.Addr }

// listen opens the listeners and begins to serve them. None is served before all are open.
func (s *server) listen() (addresses, error) {
	var at addresses
	plain, err := s.open("addr", s.cfg.Addr)
	if err != nil {
		return at, err
	}
	secure, err := s.open("tls.addr", s.cfg.TLS.Addr)
	if err != nil {
		if plain != nil {
			_ = plain.Close()
		}
		return at, err
	}
	internal, err := s.open("internal.addr", s.cfg.Internal.Addr)
	if err != nil {
		for _, l := range []net.Listener{plain, secure} {
			if l != nil {
				_ = l.Close()
			}
		}
		return at, err
	}
	if plain != nil {
		at.plain = plain.Addr()
		go func() { s.failed <- s.http.Serve(plain) }()
	}
	if secure != nil {
		at.tls = secure.Addr()
		go func() { s.failed <- s.http.ServeTLS(secure, "", "") }()
	}
	if internal != nil {
		at.internal = internal.Addr()
		go func() { s.failed <- s.internal.Serve(internal) }()
	}
	at.udp = s.listenUDP(at)
	return at, nil
}

// open returns nil when a listener is off.
func (s *server) open(key, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; --%s chooses another address", err, strings.ReplaceAll(key, ".", "-"))
	}
	return websocket.NewListener(l, func(err error) { s.log.Error("clients have to wait", "error", err) }), nil
}

func (s *server) announce(out io.Writer, at addresses) {
	var urls []string
	if at.plain != nil {
		urls = append(urls, "http://"+at.plain.String())
	}
	if at.tls != nil {
		urls = append(urls, "https://"+at.tls.String())
	}
	fmt.Fprintf(out, "protoo-edge %s, listening on %s\n", core.Version, strings.Join(urls, " and "))
	for _, u := range urls {
		fmt.Fprintf(out, "connect to %s/protoo?username=NAME&uuid=DEVICE with the subprotocol protoo\n", strings.Replace(u, "http", "ws", 1))
	}
	if at.udp != nil {
		fmt.Fprintf(out, "connect to https://%s/protoo?username=NAME&uuid=DEVICE over WebTransport\n", at.udp)
	}
	if self, ok := s.source.(*devcert.Source); ok {
		if hashes, err := self.Hashes(); err == nil {
			fmt.Fprintf(out, "self-made certificate, SHA-256 %s\n", base64.StdEncoding.EncodeToString(hashes[0][:]))
		}
	}
	if at.internal != nil {
		fmt.Fprintf(out, "for operators: http://%s/modules\n", at.internal)
	}
	if s.cfg.Identity.Type == "development" {
		fmt.Fprintln(out, "development identity: clients are whoever they say they are; not for networks with strangers")
	}
}

// run serves until ctx ends or a listener fails. Each signal from reload makes it read the configuration again.
func (s *server) run(ctx context.Context, reload <-chan os.Signal, load func() (*config.Config, error)) error {
	for {
		select {
		case err := <-s.failed:
			return errors.Join(err, s.shutDown())
		case <-reload:
			s.reload(load)
		case <-ctx.Done():
			s.log.Info("shutting down", "peers", s.app.Stats().Peers)
			return s.shutDown()
		}
	}
}

// shutDown disconnects everybody and stops the server.
func (s *server) shutDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Drain.Timeout)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- s.app.Close(true) }()
	err := s.http.Shutdown(ctx)
	_ = s.internal.Close() // what operators ask is answered at once
	if err == nil {
		select {
		case err = <-closed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some connections have not ended in time", "time", s.cfg.Drain.Timeout)
		return s.http.Close()
	}
	return err
}
