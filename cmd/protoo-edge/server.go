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
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/drain"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/health"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/identity"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/listen"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/metrics"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/systemd"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/tracing"
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

	health       health.State
	metrics      *metrics.Metrics // nil when nobody can ask for them
	tracer       *tracing.Tracer  // nil when there is no collector
	certificates *certificates    // source, watched; nil like it
	backlog      backlog
	reloaded     reloadCount

	sockets *listen.Sockets
	drain   drain.Drain
	asked   chan struct{} // by somebody else than a signal, to drain
	ending  chan struct{} // closed when shutting down

	api      *apiServer         // nil when it is off
	reloads  chan reloadRequest // by the API
	outgoing *outgoing

	gate   *identity.Gate
	bounds *bounds

	altPort atomic.Int32 // that browsers are told to find HTTP/3 at, 0 for none
}

func newServer(cfg *config.Config, log *slog.Logger, level *slog.LevelVar) (_ *server, err error) {
	s := &server{cfg: cfg, log: log, level: level, failed: make(chan error, 4), asked: make(chan struct{}, 1), ending: make(chan struct{}),
		reloads: make(chan reloadRequest)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.source, err = newSource(cfg, log); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(cfg)
	observe(s.metrics, cfg)
	s.app = core.New(cfg.Core)
	if s.modules, err = modules.New(cfg, s.app, log); err != nil {
		return nil, err
	}
	if s.outgoing, err = newOutgoing(cfg, log); err != nil {
		return nil, err
	}
	s.outgoing.hooks.Watch(s.app)
	s.bounds = newBounds(s.app, cfg, log)
	// The tracer's layer and the gate's route are in front of the rest.
	s.tracer = newTracer(cfg, s.app, log)
	if s.gate, err = newGate(s.app, cfg, log); err != nil {
		return nil, err
	}
	built := &stack{app: s.app, modules: s.modules, outgoing: s.outgoing, bounds: s.bounds}
	if mistakes := built.mount(cfg.Middleware); len(mistakes) > 0 {
		return nil, mistakes
	}
	logEvents(s.app, log)
	if s.api, err = newAPI(s); err != nil {
		return nil, err
	}
	s.health.Descriptors = health.CountDescriptors
	s.reloaded.last = time.Now()
	s.serveClients(logRefusals(s.bounds.accept(s.drain.Accept(s.gate.Guard(built.accept(newAccept(cfg, s.gate))))), log))
	s.internal = newHTTP(cfg, s.newInternal(), log)
	s.internal.WriteTimeout = 0 // a profile takes as long as it is asked to
	s.registerFigures()
	return s, nil
}

// serveClients puts together what clients connect to.
func (s *server) serveClients(accept core.Accept) {
	ws := websocket.New(s.app, accept, s.cfg.WebSocket)
	s.app.Attach(ws)
	var hashes func() ([][sha256.Size]byte, error)
	if self, ok := s.source.(*devcert.Source); ok {
		hashes = self.Hashes
	}
	limited := s.bounds.limits.Handler
	handler := newHandler(limited(ws), s.cfg.Page, hashes)
	switch {
	case s.cfg.WebTransport.Enabled && s.source != nil:
		s.wt = newWebTransport(s.app, accept, s.cfg, limited, handler)
		s.app.Attach(s.wt)
		handler = s.advertise(handler)
	case s.cfg.WebTransport.Enabled:
		s.log.Info("no WebTransport, which needs tls.addr and a certificate: clients use WebSocket")
	}
	if authority, ok := s.source.(*certificate.ACME); ok {
		handler = authority.Handler(handler)
	}
	s.http = newHTTP(s.cfg, s.bounds.behindProxies(handler), s.log)
	s.http.ConnState = s.bounds.connState()
	if s.source != nil {
		s.certificates = &certificates{Source: s.source}
		s.http.TLSConfig = newTLS(s.cfg, s.certificates)
	}
}

// close frees what a server keeps that has shut down, or was never complete.
func (s *server) close() {
	if s.modules != nil {
		s.modules.Close()
	}
	if s.gate != nil {
		s.gate.Close()
	}
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
	inherited, err := systemd.Sockets()
	if err != nil {
		return at, err
	}
	if s.sockets, err = listen.New(s.cfg.Listen.ReusePort, inherited); err != nil {
		return at, err
	}
	defer s.sockets.Close()
	wanted := [...]struct{ key, addr string }{
		{"addr", s.cfg.Addr}, {"tls.addr", s.cfg.TLS.Addr}, {"internal.addr", s.cfg.Internal.Addr}, {"api.addr", s.cfg.API.Addr},
	}
	var opened [len(wanted)]net.Listener
	for i, w := range wanted {
		if opened[i], err = s.open(w.key, w.addr); err != nil {
			for _, l := range opened[:i] {
				if l != nil {
					_ = l.Close()
				}
			}
			return at, err
		}
	}
	plain, secure, internal, backEnds := opened[0], opened[1], opened[2], opened[3]
	s.api.serve(backEnds, s.failed)
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
		s.warnOfInternal(at.internal)
		go func() { s.failed <- s.internal.Serve(internal) }()
	}
	at.udp = s.listenUDP(at)
	if unused := s.sockets.Unused(); len(unused) > 0 {
		s.log.Warn("the process was started with sockets at which no setting listens", "sockets", unused)
	}
	return at, nil
}

// open returns nil when a listener is off.
func (s *server) open(key, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := s.sockets.Listen(addr)
	if err != nil {
		return nil, fmt.Errorf("%w; --%s chooses another address", err, strings.ReplaceAll(key, ".", "-"))
	}
	return websocket.NewListener(s.bounds.public(key, l), func(err error) {
		s.health.Starve()
		s.log.Error("clients have to wait", "error", err)
	}), nil
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
		fmt.Fprintf(out, "connect to %s/protoo?%s with the subprotocol protoo\n", strings.Replace(u, "http", "ws", 1), credentials(s.cfg))
	}
	if at.udp != nil {
		fmt.Fprintf(out, "connect to https://%s/protoo?%s over WebTransport\n", at.udp, credentials(s.cfg))
	}
	if self, ok := s.source.(*devcert.Source); ok {
		if hashes, err := self.Hashes(); err == nil {
			fmt.Fprintf(out, "self-made certificate, SHA-256 %s\n", base64.StdEncoding.EncodeToString(hashes[0][:]))
		}
	}
	if at.internal != nil {
		fmt.Fprintf(out, "for operators: http://%s\n", at.internal)
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
			s.health.LoseListener("tcp", err)
			return errors.Join(err, s.shutDown(false))
		case <-reload:
			_, _ = s.reload(load) // has logged what is wrong
		case ask := <-s.reloads:
			reloaded, err := s.reload(load)
			ask <- reloadResult{reloaded, err}
		case <-s.asked:
			return s.shutDown(true)
		case <-ctx.Done():
			return s.shutDown(errors.Is(context.Cause(ctx), errTerminated))
		}
	}
}
