package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
)

// server is protoo-edge while it serves.
type server struct {
	cfg    *config.Config // as it is in effect
	log    *slog.Logger
	level  *slog.LevelVar
	app    *core.App
	source certificate.Source // nil without TLS
	http   *http.Server
	failed chan error // from listeners
}

func newServer(cfg *config.Config, log *slog.Logger, level *slog.LevelVar) (*server, error) {
	source, err := newSource(cfg, log)
	if err != nil {
		return nil, err
	}
	app := core.New(cfg.Core)
	if err := mount(app, cfg.Middleware); err != nil {
		return nil, err
	}
	logEvents(app, log)
	ws := websocket.New(app, logRefusals(newAccept(cfg), log), cfg.WebSocket)
	app.Attach(ws)
	handler := newHandler(ws, cfg.Page)
	if acme, ok := source.(*certificate.ACME); ok {
		handler = acme.Handler(handler)
	}
	s := &server{cfg: cfg, log: log, level: level, app: app, source: source, failed: make(chan error, 2)}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: cfg.HTTP.ReadHeaderTimeout,
		ReadTimeout:       cfg.HTTP.ReadTimeout,
		WriteTimeout:      cfg.HTTP.WriteTimeout,
		IdleTimeout:       cfg.HTTP.IdleTimeout,
		MaxHeaderBytes:    cfg.HTTP.MaxHeader,
		ErrorLog:          httpLog(log),
	}
	if source != nil {
		s.http.TLSConfig = newTLS(cfg, source)
	}
	return s, nil
}

// addresses are where a server listens; nil where it does not.
type addresses struct{ plain, tls net.Addr }

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
	if plain != nil {
		at.plain = plain.Addr()
		go func() { s.failed <- s.http.Serve(plain) }()
	}
	if secure != nil {
		at.tls = secure.Addr()
		go func() { s.failed <- s.http.ServeTLS(secure, "", "") }()
	}
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

func announce(out io.Writer, cfg *config.Config, at addresses) {
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
	if cfg.Identity.Type == "development" {
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
